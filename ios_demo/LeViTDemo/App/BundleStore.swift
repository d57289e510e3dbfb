import Foundation
import LeViTCore

/// Bundles that the app can see: those that it was built with, and those that were copied into its folder on the phone.
enum BundleStore {
  struct Entry: Identifiable, Equatable {
    let folder: URL
    /// Checked, but not its files; or why it cannot be used.
    let bundle: Result<ModelBundle, BundleError>

    var id: URL { folder }
    var name: String { folder.lastPathComponent }
  }

  /// By name.
  static func entries() -> [Entry] {
    let inApp = Bundle.main.resourceURL.map { [$0.appendingPathComponent("Bundles")] } ?? []
    let places = inApp + FileManager.default.urls(for: .documentDirectory, in: .userDomainMask)
    return places.flatMap(folders).map(entry).sorted { $0.name < $1.name }
  }

  private static func folders(in place: URL) -> [URL] {
    let found = try? FileManager.default.contentsOfDirectory(
      at: place, includingPropertiesForKeys: [.isDirectoryKey], options: .skipsHiddenFiles)
    return (found ?? []).filter { (try? $0.resourceValues(forKeys: [.isDirectoryKey]).isDirectory) == true }
  }

  private static func entry(_ folder: URL) -> Entry {
    do {
      return Entry(folder: folder, bundle: .success(try ModelBundle(folder: folder)))
    } catch let error as BundleError {
      return Entry(folder: folder, bundle: .failure(error))
    } catch {
      return Entry(folder: folder, bundle: .failure(.notABundle(name: folder.lastPathComponent)))
    }
  }
}
