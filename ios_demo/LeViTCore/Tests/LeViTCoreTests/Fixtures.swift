import Foundation
import Testing

/// Files that Python wrote; Fixtures/README.md.
enum Fixtures {
  static func data(_ name: String, _ kind: String) throws -> Data {
    try Data(contentsOf: #require(Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: kind)))
  }

  static func rows<Row: Decodable>(_ name: String) throws -> [Row] {
    try JSONDecoder().decode([Row].self, from: data(name, "json"))
  }

  static func manifest(_ target: String) throws -> [String: Any] {
    let json = try JSONSerialization.jsonObject(with: data("\(target)-manifest", "json"))
    return try #require(json as? [String: Any])
  }
}
