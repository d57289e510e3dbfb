import Foundation
import Testing

@testable import LeViTCore

struct InflateTests {
  struct Packed: Decodable, CustomTestStringConvertible {
    let name: String
    let packed: String
    let size: Int
    let sha256: String

    var testDescription: String { name }

    func bytes() throws -> [UInt8] { [UInt8](try #require(Data(base64Encoded: packed))) }
  }

  static let rows = Result { try Fixtures.rows("deflated") as [Packed] }

  @Test(arguments: try rows.get())
  func asZlib(_ row: Packed) throws {
    let found = try Inflate.bytes(row.bytes()[...], size: row.size)
    #expect(SHA256Digest.hex(of: Data(found)) == row.sha256)
  }

  @Test(arguments: try rows.get())
  func anotherSizeIsRefused(_ row: Packed) throws {
    let packed = try row.bytes()
    #expect(throws: Inflate.Damaged.self) { try Inflate.bytes(packed[...], size: row.size + 1) }
    if row.size > 0 {
      #expect(throws: Inflate.Damaged.self) { try Inflate.bytes(packed[...], size: row.size - 1) }
    }
  }

  /// Damage is found, or gives other bytes of the right number; it never ends the app.
  @Test func damageIsNoCrash() throws {
    for row in try Self.rows.get() {
      let packed = try row.bytes()
      for end in stride(from: 0, to: packed.count, by: max(1, packed.count / 40)) {
        #expect(throws: Inflate.Damaged.self) { try Inflate.bytes(packed.prefix(end), size: row.size) }
      }
      for place in stride(from: 0, to: packed.count, by: max(1, packed.count / 60)) {
        for bit in 0..<8 {
          var other = packed
          other[place] ^= 1 << bit
          if let found = try? Inflate.bytes(other[...], size: row.size) { #expect(found.count == row.size) }
        }
      }
    }
  }

  @Test(arguments: [[0x07], [0x05, 0xFF, 0xFF, 0xFF], [0x01, 1, 0, 0, 0]] as [[UInt8]])
  func noSuchBlocks(_ bytes: [UInt8]) {
    #expect(throws: Inflate.Damaged.self) { try Inflate.bytes(bytes[...], size: 0) }
  }
}

struct GoldenTests {
  private let data: Data

  init() throws {
    data = try Fixtures.data("golden", "npz")
  }

  private func problem(_ data: Data, side: Int = 8, classes: Int = 5) -> String? {
    do {
      _ = try Golden(data, side: side, classes: classes)
      return nil
    } catch {
      return (error as? NumPyArchive.Damaged)?.problem
    }
  }

  @Test func picturesAndLogits() throws {
    let golden = try Golden(data, side: 8, classes: 5)
    #expect(golden.pictures.count == 3)
    var pixels: [UInt8] = []
    for at in 0..<576 {
      let value: Int = (7 * at * at + 3 * at) % 251
      pixels.append(UInt8(value))
    }
    #expect(golden.pictures.flatMap(\.pixels) == pixels)
    var logits: [Float] = []
    for at in 0..<15 { logits.append(Float(at) * 0.25 - 1) }
    #expect(golden.logits.flatMap { $0 } == logits)
    #expect(golden.logits.map(\.count) == [5, 5, 5])
  }

  @Test func anotherSize() {
    #expect(problem(data, side: 9) == "pixels have the type |u1 and the shape [3, 8, 8, 3]")
    #expect(problem(data, classes: 4) == "logits have the type <f4 and the shape [3, 5]")
  }

  @Test func noArchive() {
    #expect(problem(Data()) == "it is no zip")
    #expect(problem(Data("content of golden.npz, not really".utf8)) == "it is no zip")
  }

  @Test func damageIsNoCrash() {
    for end in 0..<data.count { #expect(problem(data.prefix(end)) != nil) }
    for place in data.indices {
      var other = data
      other[place] ^= 0x55
      _ = problem(other)
    }
  }

  @Test func ofABundle() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID())/small")
    defer { try? FileManager.default.removeItem(at: folder.deletingLastPathComponent()) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    var manifest = try Fixtures.manifest("executorch")
    manifest["preprocessing"] = ["resize": 9, "crop": 8, "mean": [0, 0, 0], "std": [1, 1, 1]]
    manifest["labels"] = ["a", "b", "c", "d", "e"]
    manifest["model"] = ["variant": "small", "num_classes": 5]
    for (name, shape) in [("input", [1, 3, 8, 8]), ("output", [1, 5])] {
      var port = manifest[name] as? [String: Any]
      port?["shape"] = shape
      manifest[name] = port
    }
    try JSONSerialization.data(withJSONObject: manifest).write(to: folder.appendingPathComponent("manifest.json"))
    let bundle = try ModelBundle(folder: folder)
    #expect(throws: BundleError.corrupt(name: "small", problem: "golden.npz: it cannot be read")) {
      try Golden(of: bundle)
    }
    try data.write(to: folder.appendingPathComponent("golden.npz"))
    #expect(try Golden(of: bundle).pictures.count == 3)
    try data.prefix(300).write(to: folder.appendingPathComponent("golden.npz"))
    #expect(throws: BundleError.corrupt(name: "small", problem: "golden.npz: it is no zip")) {
      try Golden(of: bundle)
    }
  }
}

/// Beside levit_mobile.evaluate.compare.
struct ParityTests {
  struct Row: Decodable, CustomTestStringConvertible {
    let name: String
    let precision: String
    let reference: [[Float]]
    let answers: [[Float]]
    let maxAbs: Double
    let cosine: Double
    let agreement: Double
    let passed: Bool

    var testDescription: String { name }

    enum CodingKeys: String, CodingKey {
      case name, precision, reference, answers, cosine, agreement, passed
      case maxAbs = "max_abs"
    }
  }

  private func manifest(_ precision: String, output: String = "float32") throws -> Manifest {
    var json = try Fixtures.manifest("executorch")
    json["artifact"] = ["file": "model.pte", "target": "executorch", "precision": precision]
    json["output"] = ["name": "logits", "shape": [1, 10], "dtype": output]
    return try JSONDecoder().decode(Manifest.self, from: JSONSerialization.data(withJSONObject: json))
  }

  @Test(arguments: try Fixtures.rows("parity") as [Row])
  func asPython(_ row: Row) throws {
    let found = Parity(of: row.answers, beside: row.reference, try manifest(row.precision))
    #expect(abs(found.maxAbs - row.maxAbs) < 1e-9)
    #expect(abs(found.cosine - row.cosine) < 1e-9)
    #expect(found.agreement == row.agreement)
    #expect(found.passed == row.passed)
    #expect(found.samples == row.reference.count)
  }

  @Test(arguments: [[[Float.nan, 1]], [[.infinity, 1]], [[1]], []] as [[[Float]]])
  func noAnswer(_ answers: [[Float]]) throws {
    let found = Parity(of: answers, beside: [[0, 1]], try manifest("int8"))
    #expect(!found.passed)
    #expect(found.maxAbs == .infinity)
  }

  @Test func wholeNumbersAtTheOutput() throws {
    let (reference, answers): ([[Float]], [[Float]]) = ([[0, 5, 10]], [[0.3, 5, 10]])
    #expect(!Parity(of: answers, beside: reference, try manifest("fp32")).passed)
    #expect(Parity(of: answers, beside: reference, try manifest("fp32", output: "int8")).passed)
  }
}
