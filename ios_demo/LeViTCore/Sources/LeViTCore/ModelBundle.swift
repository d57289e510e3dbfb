import Foundation

/// An opened bundle: its folder, and its manifest, which was checked.
public struct ModelBundle: Equatable, Sendable {
  /// No LeViT comes near it.
  private static let mostBytes = 1 << 30

  public let folder: URL
  public let manifest: Manifest

  /// Of its folder.
  public var name: String { folder.lastPathComponent }
  /// The file that runs, or the folder: Core ML's package is one.
  public var artifact: URL { folder.appendingPathComponent(manifest.artifact.file) }
  /// Of all of the artifact's files together, as the manifest has it.
  public var artifactBytes: Int { parts.reduce(0) { $0 + (manifest.files[$1]?.bytes ?? 0) } }

  /// SHA-256 of the artifact; of a folder, of its files' names and digests.
  public var artifactDigest: String {
    if let file = manifest.files[manifest.artifact.file] { return file.sha256 }
    let lines = parts.map { "\($0) \(manifest.files[$0]?.sha256 ?? "")\n" }
    return SHA256Digest.hex(of: Data(lines.joined().utf8))
  }

  /// Read and check a manifest. The files are not read: see `verify`.
  ///
  /// - Throws: `BundleError`.
  public init(folder: URL) throws {
    let name = folder.lastPathComponent
    let place = folder.appendingPathComponent("manifest.json")
    guard let data = try? Data(contentsOf: place) else {
      throw BundleError.notABundle(name: name)
    }
    do {
      let decoder = JSONDecoder()
      let probe = try decoder.decode(Format.self, from: data)
      guard probe.format == .int(Manifest.format) else {
        throw BundleError.unknownFormat(name: name, format: probe.format.told)
      }
      manifest = try decoder.decode(Manifest.self, from: data)
    } catch let error as DecodingError {
      throw BundleError.badManifest(name: name, problem: error.told)
    }
    self.folder = folder
    if let problem {
      throw BundleError.badManifest(name: name, problem: problem)
    }
  }

  /// Make sure that artifact and golden inputs are those that were exported, before anything reads them.
  ///
  /// - Throws: `BundleError.corrupt`.
  public func verify() throws {
    for part in parts + [Golden.file] {
      if let problem = problem(ofFile: part) {
        throw BundleError.corrupt(name: name, problem: problem)
      }
    }
    let listed = Set(parts)
    for path in (try? FileManager.default.subpathsOfDirectory(atPath: artifact.path)) ?? [] {
      let part = "\(manifest.artifact.file)/\(path)"
      var isFolder: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: folder.appendingPathComponent(part).path, isDirectory: &isFolder)
      if !isFolder.boolValue && !listed.contains(part) {
        throw BundleError.corrupt(name: name, problem: "\(part) is not in the manifest")
      }
    }
  }

  /// The artifact's files: itself, or what lies in it where it is a folder. By the alphabet, byte by byte.
  private var parts: [String] {
    let file = manifest.artifact.file
    return manifest.files.keys
      .filter { $0 == file || $0.hasPrefix("\(file)/") }
      .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  private func problem(ofFile part: String) -> String? {
    guard let wanted = manifest.files[part] else { return "\(part) is not in the manifest" }
    let place = folder.appendingPathComponent(part)
    guard let found = try? FileManager.default.attributesOfItem(atPath: place.path) else { return "\(part) is missing" }
    guard found[.type] as? FileAttributeType == .typeRegular else { return "\(part) is not a file" }
    let bytes = (found[.size] as? NSNumber)?.intValue ?? -1
    guard bytes == wanted.bytes else {
      return "\(part) has \(bytes) bytes, and the manifest says \(wanted.bytes)"
    }
    guard let digest = try? SHA256Digest.hex(ofFileAt: place) else { return "\(part) cannot be read" }
    return digest == wanted.sha256 ? nil : "\(part) was changed: its SHA-256 is not the manifest's"
  }

  private var problem: String? {
    for (name, file) in manifest.files {
      let steps = name.split(separator: "/", omittingEmptySubsequences: false)
      if steps.contains("..") || steps.contains("") || name.contains("\\") {
        return "it names a file outside of the bundle (\(name))"
      }
      if !(0...Self.mostBytes).contains(file.bytes) { return "it has a bad size for \(name)" }
      if file.sha256.count != 64 { return "it has a bad sha256 for \(name)" }
    }
    if parts.isEmpty { return "it does not list its artifact" }
    if manifest.files[Golden.file] == nil { return "it does not list its golden inputs" }
    if manifest.labels.count != manifest.model.classes {
      return "it has \(manifest.labels.count) labels for \(manifest.model.classes) classes"
    }
    if let problem = manifest.preprocessing.problem { return problem }
    return manifest.portProblem
  }
}

extension Manifest {
  fileprivate var portProblem: String? {
    guard let layout = input.layout else { return "input.layout is missing" }
    guard input.takes != nil else { return "input.takes is missing" }
    let side = preprocessing.crop
    // A batch of any size is -1.
    let batch = input.shape.first == -1 ? -1 : 1
    let shape = layout == .nchw ? [batch, 3, side, side] : [batch, side, side, 3]
    if input.shape != shape { return "input.shape is \(input.shape), and a picture has \(shape)" }
    if output.shape.last != model.classes { return "output.shape is \(output.shape) for \(model.classes) classes" }
    for (name, port) in [("input", input), ("output", output)] {
      if (port.scale == nil) != (port.zeroPoint == nil) { return "\(name) has a scale or a zero point, and not both" }
      if let scale = port.scale, !(scale.isFinite && scale > 0) { return "\(name).scale is not above 0" }
    }
    return nil
  }
}

private struct Format: Decodable {
  let format: JSONValue
}

extension JSONValue {
  fileprivate var told: String {
    switch self {
    case .int(let number): return String(number)
    case .number(let number): return String(number)
    case .string(let text): return "\"\(text.prefix(40))\""
    default: return "something that is no number"
    }
  }
}

extension DecodingError {
  fileprivate var told: String {
    switch self {
    case .keyNotFound(let key, let context): return "\(Self.path(context.codingPath + [key])) is missing"
    case .valueNotFound(_, let context): return "\(Self.path(context.codingPath)) is empty"
    case .typeMismatch(_, let context): return "\(Self.path(context.codingPath)) is not what it should be"
    case .dataCorrupted(let context):
      let path = Self.path(context.codingPath)
      return path.isEmpty ? "it is no JSON" : "\(path) has a value that this app does not know"
    @unknown default: return "it cannot be read"
    }
  }

  private static func path(_ keys: [any CodingKey]) -> String {
    keys.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
  }
}
