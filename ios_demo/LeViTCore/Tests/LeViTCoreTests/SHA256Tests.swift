import Foundation
import Testing

@testable import LeViTCore

/// FIPS 180-4's examples; the own implementation is tested wherever the tests run, beside CryptoKit's.
struct SHA256Tests {
  static let examples = [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    (
      String(repeating: "a", count: 1_000_000),
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    ),
  ]

  private func plain(_ parts: [Data]) -> String {
    var digest = PlainSHA256()
    for part in parts { digest.update(data: part) }
    return digest.finalize().map { String(format: "%02x", $0) }.joined()
  }

  @Test(arguments: examples.indices)
  func knownDigests(_ at: Int) {
    let (text, digest) = Self.examples[at]
    #expect(plain([Data(text.utf8)]) == digest)
    #expect(SHA256Digest.hex(of: Data(text.utf8)) == digest)
  }

  @Test(arguments: [55, 56, 63, 64, 65, 119, 120, 128, 200])
  func partsDoNotCount(length: Int) {
    let message = Data((0..<length).map { UInt8($0) })
    for cut in [0, 1, length / 2, length - 1] {
      #expect(plain([message.prefix(cut), message.suffix(length - cut)]) == plain([message]))
    }
  }

  @Test func ofAFile() throws {
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID())")
    defer { try? FileManager.default.removeItem(at: place) }
    let content = Data(repeating: 0x61, count: 3 << 20)
    try content.write(to: place)
    #expect(try SHA256Digest.hex(ofFileAt: place) == SHA256Digest.hex(of: content))
  }
}
