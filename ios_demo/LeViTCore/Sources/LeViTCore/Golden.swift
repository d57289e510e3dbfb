import Foundation

/// A bundle's golden inputs, drawn pictures, and what PyTorch made of them: `golden.npz`.
public struct Golden: Equatable, Sendable {
  public static let file = "golden.npz"

  /// Resized and cropped already.
  public let pictures: [RGBImage]
  /// One row a picture.
  public let logits: [[Float]]

  /// - Throws: `BundleError.corrupt`.
  public init(of bundle: ModelBundle) throws {
    func corrupt(_ problem: String) -> BundleError {
      .corrupt(name: bundle.name, problem: "\(Self.file): \(problem)")
    }
    guard let data = try? Data(contentsOf: bundle.folder.appendingPathComponent(Self.file)) else {
      throw corrupt("it cannot be read")
    }
    do {
      try self.init(data, side: bundle.manifest.preprocessing.crop, classes: bundle.manifest.model.classes)
    } catch let error as NumPyArchive.Damaged {
      throw corrupt(error.problem)
    }
  }

  init(_ data: Data, side: Int, classes: Int) throws {
    let archive = try NumPyArchive(data)
    let (pixels, logits) = try (archive.array("pixels"), archive.array("logits"))
    let count = pixels.shape.first ?? 0
    guard pixels.type == "|u1", pixels.shape == [count, side, side, 3], count > 0,
      pixels.bytes.count == count * side * side * 3
    else { throw NumPyArchive.Damaged(problem: "pixels have the type \(pixels.type) and the shape \(pixels.shape)") }
    guard logits.type == "<f4", logits.shape == [count, classes], logits.bytes.count == count * classes * 4 else {
      throw NumPyArchive.Damaged(problem: "logits have the type \(logits.type) and the shape \(logits.shape)")
    }
    pictures = (0..<count).map { picture in
      let start = pixels.bytes.startIndex + picture * side * side * 3
      return RGBImage(width: side, height: side, pixels: [UInt8](pixels.bytes[start..<start + side * side * 3]))
    }
    self.logits = logits.bytes.withUnsafeBytes { bytes in
      (0..<count).map { row in
        (0..<classes).map { place in
          let bits = bytes.loadUnaligned(fromByteOffset: (row * classes + place) * 4, as: UInt32.self)
          return Float(bitPattern: UInt32(littleEndian: bits))
        }
      }
    }
  }
}
