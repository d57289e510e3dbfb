import CoreML
import Foundation
import LeViTCore

/// Core ML runs compiled models. Xcode compiles a `.mlpackage` that it knows as a source, but not one in a folder of
/// resources; so that is done here at first use, and the result is kept until the package or the system changes.
enum CompiledModels {
  static func load(_ bundle: ModelBundle, _ configuration: MLModelConfiguration) async throws -> MLModel {
    let place = try place(for: bundle)
    if FileManager.default.fileExists(atPath: place.path) {
      if let model = try? await MLModel.load(contentsOf: place, configuration: configuration) { return model }
      // What was kept is not whole, perhaps; a package that is at fault fails again below.
      try FileManager.default.removeItem(at: place)
    }
    try await compile(bundle, to: place)
    return try await MLModel.load(contentsOf: place, configuration: configuration)
  }

  private static func place(for bundle: ModelBundle) throws -> URL {
    let caches = try FileManager.default.url(
      for: .cachesDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
    let folder = caches.appendingPathComponent("CompiledModels")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let system = ProcessInfo.processInfo.operatingSystemVersionString.filter { $0.isLetter || $0.isNumber }
    return folder.appendingPathComponent("\(bundle.artifactDigest.prefix(32))-\(system).mlmodelc")
  }

  private static func compile(_ bundle: ModelBundle, to place: URL) async throws {
    let compiled = try await MLModel.compileModel(at: bundle.artifact)
    do {
      try FileManager.default.moveItem(at: compiled, to: place)
    } catch  where FileManager.default.fileExists(atPath: place.path) {
      // Somebody else was quicker with the same model.
      try? FileManager.default.removeItem(at: compiled)
    }
  }
}
