import CoreGraphics
import Foundation
import ImageIO
import LeViTCore

extension RGBImage {
  /// A longer side is scaled down while it is decoded: more than the model will ever see.
  private static let longest = 4096

  /// A file's picture, upright as its EXIF says, in sRGB; what is transparent lies on white.
  ///
  /// - Throws: `Failure.unreadablePicture`.
  init(decoding data: Data) throws {
    let options: [CFString: Any] = [
      kCGImageSourceCreateThumbnailFromImageAlways: true,
      kCGImageSourceCreateThumbnailWithTransform: true,
      kCGImageSourceThumbnailMaxPixelSize: Self.longest,
    ]
    guard let source = CGImageSourceCreateWithData(data as CFData, nil),
      let image = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary)
    else { throw Failure.unreadablePicture }
    try self.init(image)
  }

  private init(_ image: CGImage) throws {
    let (width, height) = (image.width, image.height)
    var rgbx = [UInt8](repeating: 0, count: width * height * 4)
    let drawn = rgbx.withUnsafeMutableBytes { bytes in
      guard let space = CGColorSpace(name: CGColorSpace.sRGB),
        let context = CGContext(
          data: bytes.baseAddress, width: width, height: height, bitsPerComponent: 8, bytesPerRow: width * 4,
          space: space, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
      else { return false }
      let whole = CGRect(x: 0, y: 0, width: width, height: height)
      context.setFillColor(red: 1, green: 1, blue: 1, alpha: 1)
      context.fill(whole)
      context.draw(image, in: whole)
      return true
    }
    guard drawn, width > 0, height > 0 else { throw Failure.unreadablePicture }
    let pixels = rgbx.withUnsafeBytes { Self.packed($0, width: width, height: height, rowBytes: width * 4, red: 0) }
    self.init(width: width, height: height, pixels: pixels)
  }

  /// Four bytes a pixel -> three. `red` is where red is: 0 in RGBA, 2 in BGRA.
  static func packed(_ bytes: UnsafeRawBufferPointer, width: Int, height: Int, rowBytes: Int, red: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: width * height * 3) { pixels, filled in
      for y in 0..<height {
        for x in 0..<width {
          let (from, to) = (y * rowBytes + x * 4, (y * width + x) * 3)
          pixels[to] = bytes[from + red]
          pixels[to + 1] = bytes[from + 1]
          pixels[to + 2] = bytes[from + 2 - red]
        }
      }
      filled = width * height * 3
    }
  }
}
