import Foundation
import Testing

@testable import LeViTCore

/// Bundles in a folder of the test's own. Their manifests are real ones, with sizes and digests of small files put in.
final class ModelBundleTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID())")

  deinit {
    try? FileManager.default.removeItem(at: folder)
  }

  /// Write a bundle; `edit` changes its manifest before.
  private func bundle(_ target: String = "executorch", edit: (inout [String: Any]) -> Void = { _ in }) throws -> URL {
    let place = folder.appendingPathComponent("levit_128s-int8-\(target)")
    var manifest = try Fixtures.manifest(target)
    var files = try #require(manifest["files"] as? [String: [String: Any]])
    for name in files.keys {
      let content = Data("content of \(name)".utf8)
      let file = place.appendingPathComponent(name)
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try content.write(to: file)
      files[name] = ["bytes": content.count, "sha256": SHA256Digest.hex(of: content)]
    }
    manifest["files"] = files
    edit(&manifest)
    try JSONSerialization.data(withJSONObject: manifest).write(to: place.appendingPathComponent("manifest.json"))
    return place
  }

  private func problem(_ folder: URL) -> BundleError? {
    do {
      try ModelBundle(folder: folder).verify()
      return nil
    } catch {
      return error as? BundleError
    }
  }

  @Test func executorchBundle() throws {
    let found = try ModelBundle(folder: bundle())
    try found.verify()
    #expect(found.name == "levit_128s-int8-executorch")
    #expect(found.manifest.artifact.methods == ["forward_float16", "forward"])
    #expect(found.manifest.input.layout == .nchw)
    #expect(found.manifest.input.takes == .normalisedPixels)
    #expect(found.manifest.labels.count == 10)
    #expect(found.artifactBytes == "content of model.pte".utf8.count)
    #expect(found.artifactDigest == SHA256Digest.hex(of: Data("content of model.pte".utf8)))
  }

  @Test func coreMLBundle() throws {
    let found = try ModelBundle(folder: bundle("coreml"))
    try found.verify()
    let parts = [
      "model.mlpackage/Data/com.apple.CoreML/model.mlmodel", "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
      "model.mlpackage/Manifest.json",
    ]
    #expect(found.artifactBytes == parts.reduce(0) { $0 + "content of \($1)".utf8.count })
    // As levit_mobile.bundle.Bundle.artifact_digest has it.
    let lines = parts.map { "\($0) \(SHA256Digest.hex(of: Data("content of \($0)".utf8)))\n" }
    #expect(found.artifactDigest == SHA256Digest.hex(of: Data(lines.joined().utf8)))
    #expect(found.manifest.input.takes == .pixels)
  }

  @Test func noManifest() {
    #expect(problem(folder.appendingPathComponent("nothing")) == .notABundle(name: "nothing"))
  }

  @Test func noJSON() throws {
    let place = try bundle()
    try Data("{\"format\": 1, ".utf8).write(to: place.appendingPathComponent("manifest.json"))
    #expect(problem(place) == .badManifest(name: place.lastPathComponent, problem: "it is no JSON"))
  }

  @Test(arguments: ["2", "\"1\"", "1.5", "null"])
  func anotherFormat(_ format: String) throws {
    let place = try bundle()
    try Data("{\"format\": \(format)}".utf8).write(to: place.appendingPathComponent("manifest.json"))
    guard case .unknownFormat(_, let told) = problem(place) else {
      Issue.record("\(String(describing: problem(place)))")
      return
    }
    #expect(told == (format == "null" ? "something that is no number" : format))
  }

  @Test(arguments: [
    ["format"], ["model"], ["model", "variant"], ["artifact", "file"], ["input", "shape"], ["input", "layout"],
    ["input", "takes"], ["output", "dtype"], ["preprocessing", "mean"], ["labels"], ["files"],
  ])
  func missingKey(_ path: [String]) throws {
    let place = try bundle { manifest in
      if path.count == 1 {
        manifest[path[0]] = nil
      } else {
        var part = manifest[path[0]] as? [String: Any]
        part?[path[1]] = nil
        manifest[path[0]] = part
      }
    }
    let wanted = "\(path.joined(separator: ".")) is missing"
    #expect(problem(place) == .badManifest(name: place.lastPathComponent, problem: wanted))
  }

  @Test(arguments: [
    ("input", "dtype", "float64" as any Sendable, "input.dtype has a value that this app does not know"),
    ("input", "layout", "chwn", "input.layout has a value that this app does not know"),
    ("input", "shape", "large", "input.shape is not what it should be"),
    ("input", "shape", [1, 224, 224, 3], "input.shape is [1, 224, 224, 3], and a picture has [1, 3, 224, 224]"),
    ("input", "scale", 0.5, "input has a scale or a zero point, and not both"),
    ("output", "shape", [1, 12], "output.shape is [1, 12] for 10 classes"),
    ("model", "num_classes", 12, "it has 10 labels for 12 classes"),
    ("artifact", "file", "model.tflite", "it does not list its artifact"),
    ("preprocessing", "crop", 300, "pictures cannot be resized to 256 and cut to 300 pixels"),
    ("preprocessing", "interpolation", "nearest", "interpolation is nearest, and only bicubic is supported"),
    ("preprocessing", "antialias", false, "pictures are resized without antialiasing, which is not supported"),
    ("preprocessing", "std", [1, 0, 1], "mean and std are not three numbers each, the latter above 0"),
  ])
  func senselessEntry(_ section: String, _ key: String, _ value: any Sendable, _ wanted: String) throws {
    let place = try bundle { manifest in
      var part = manifest[section] as? [String: Any]
      part?[key] = value
      manifest[section] = part
    }
    #expect(problem(place) == .badManifest(name: place.lastPathComponent, problem: wanted))
  }

  @Test(arguments: ["../elsewhere", "/etc/passwd", "a/../../b", "a\\b"])
  func fileOutside(_ name: String) throws {
    let place = try bundle { manifest in
      var files = manifest["files"] as? [String: Any]
      files?[name] = ["bytes": 1, "sha256": String(repeating: "0", count: 64)]
      manifest["files"] = files
    }
    let wanted = "it names a file outside of the bundle (\(name))"
    #expect(problem(place) == .badManifest(name: place.lastPathComponent, problem: wanted))
  }

  @Test func missingFile() throws {
    let place = try bundle()
    try FileManager.default.removeItem(at: place.appendingPathComponent("model.pte"))
    #expect(problem(place) == .corrupt(name: place.lastPathComponent, problem: "model.pte is missing"))
  }

  @Test func shortFile() throws {
    let place = try bundle()
    try Data("content".utf8).write(to: place.appendingPathComponent("model.pte"))
    let wanted = "model.pte has 7 bytes, and the manifest says 20"
    #expect(problem(place) == .corrupt(name: place.lastPathComponent, problem: wanted))
  }

  @Test func changedFile() throws {
    let place = try bundle()
    try Data("content of model.PTE".utf8).write(to: place.appendingPathComponent("model.pte"))
    let wanted = "model.pte was changed: its SHA-256 is not the manifest's"
    #expect(problem(place) == .corrupt(name: place.lastPathComponent, problem: wanted))
  }

  @Test func changedPartOfAPackage() throws {
    let place = try bundle("coreml")
    let part = "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    try Data().write(to: place.appendingPathComponent(part))
    guard case .corrupt(_, let told) = problem(place) else {
      Issue.record("a changed part was not found")
      return
    }
    #expect(told.hasPrefix("\(part) has 0 bytes"))
  }

  @Test func strangerInAPackage() throws {
    let place = try bundle("coreml")
    try Data().write(to: place.appendingPathComponent("model.mlpackage/Data/more"))
    let wanted = "model.mlpackage/Data/more is not in the manifest"
    #expect(problem(place) == .corrupt(name: place.lastPathComponent, problem: wanted))
  }

  @Test func linkInPlaceOfAFile() throws {
    let place = try bundle()
    let file = place.appendingPathComponent("model.pte")
    let other = folder.appendingPathComponent("other")
    try FileManager.default.moveItem(at: file, to: other)
    try FileManager.default.createSymbolicLink(at: file, withDestinationURL: other)
    #expect(problem(place) == .corrupt(name: place.lastPathComponent, problem: "model.pte is not a file"))
  }

  @Test func everyErrorSaysWhatToDo() {
    let errors: [BundleError] = [
      .notABundle(name: "a"), .unknownFormat(name: "a", format: "2"), .badManifest(name: "a", problem: "b is missing"),
      .corrupt(name: "a", problem: "b is missing"),
    ]
    for error in errors {
      #expect(error.localizedDescription.contains("a"))
      #expect(error.localizedDescription.hasSuffix("."))
    }
  }
}

struct ClassNamesTests {
  private func names(_ labels: [String]) throws -> [String] {
    var json = try Fixtures.manifest("coreml")
    json["labels"] = labels
    return try JSONDecoder().decode(Manifest.self, from: JSONSerialization.data(withJSONObject: json)).classNames
  }

  /// As exporters.coreml._distinct writes them into a package.
  @Test func whatOccursTwiceGetsItsNumber() throws {
    #expect(try names(["tench", "crane", "church", "crane"]) == ["tench", "crane (1)", "church", "crane (3)"])
    #expect(try names(["a", "b"]) == ["a", "b"])
    #expect(try names(["a", "a", "a (0)"]) == ["a (0) (0)", "a (1)", "a (0) (2)"])
  }
}
