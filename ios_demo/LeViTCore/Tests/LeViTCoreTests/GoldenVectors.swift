import Foundation
import Testing

@testable import LeViTCore

/// The repository's golden vectors, which Python, Kotlin and Swift must meet alike; tests/golden/vectors/README.md.
struct GoldenVectors: Decodable {
  let preprocessing: Preprocessing
  let labels: [String]
  let levels: [[UInt32]]
  let cases: [Case]

  struct Case: Decodable, CustomTestStringConvertible {
    let name: String
    let width: Int
    let height: Int
    let picture: String
    let pixels: String
    let entries: [Entry]
    let tensorDigest: String
    let logits: [Float]
    let top: [Top]

    var testDescription: String { name }

    enum CodingKeys: String, CodingKey {
      case name, width, height, picture, pixels, entries, logits, top
      case tensorDigest = "nchw_sha256"
    }

    func image() throws -> RGBImage {
      RGBImage(width: width, height: height, pixels: try GoldenVectors.bytes(picture))
    }

    func cropped(to side: Int) throws -> RGBImage {
      RGBImage(width: side, height: side, pixels: try GoldenVectors.bytes(pixels))
    }
  }

  struct Entry: Decodable {
    let nchw: Int
    let nhwc: Int
    let bits: UInt32
  }

  struct Top: Decodable {
    let `class`: Int
    let label: String
    let probability: Double
  }

  static let folder = (0..<5).reduce(URL(fileURLWithPath: #filePath)) { path, _ in path.deletingLastPathComponent() }
    .appendingPathComponent("tests/golden/vectors")

  static let all = Result {
    try JSONDecoder().decode(Self.self, from: Data(contentsOf: folder.appendingPathComponent("vectors.json")))
  }

  static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: folder.appendingPathComponent(name)))
  }
}
