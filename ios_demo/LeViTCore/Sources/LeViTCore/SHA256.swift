import Foundation

#if canImport(CryptoKit)
  import CryptoKit
#endif

/// SHA-256 as a manifest writes it: 64 digits, small letters.
public enum SHA256Digest {
  private static let block = 1 << 20

  /// Of a file, read a part at a time.
  public static func hex(ofFileAt url: URL) throws -> String {
    let file = try FileHandle(forReadingFrom: url)
    defer { try? file.close() }
    var digest = makeDigest()
    while let part = try file.read(upToCount: block), !part.isEmpty {
      digest.update(data: part)
    }
    return hex(digest.finalize())
  }

  public static func hex(of data: Data) -> String {
    var digest = makeDigest()
    digest.update(data: data)
    return hex(digest.finalize())
  }

  private static func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { byte in
      (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }.joined()
  }

  #if canImport(CryptoKit)
    private static func makeDigest() -> CryptoKit.SHA256 { CryptoKit.SHA256() }
  #else
    private static func makeDigest() -> PlainSHA256 { PlainSHA256() }
  #endif
}
