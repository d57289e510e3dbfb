import Foundation

/// Why a bundle cannot be used, in one sentence for whoever made it.
public enum BundleError: LocalizedError, Equatable {
  /// There is no manifest.
  case notABundle(name: String)
  /// The manifest has another format than `Manifest.format`.
  case unknownFormat(name: String, format: String)
  /// The manifest is not JSON, or an entry is missing or makes no sense.
  case badManifest(name: String, problem: String)
  /// A file is not as the manifest has it.
  case corrupt(name: String, problem: String)

  public var errorDescription: String? {
    switch self {
    case .notABundle(let name):
      return "\(name) is no bundle: it has no manifest.json. Make one with levit-export."
    case .unknownFormat(let name, let format):
      return "\(name) has format \(format), and this app reads \(Manifest.format). Export it with a fitting version."
    case .badManifest(let name, let problem):
      return "The manifest of \(name) cannot be used: \(problem). Export the bundle again."
    case .corrupt(let name, let problem):
      return "\(name) is damaged: \(problem). Copy the bundle again."
    }
  }
}
