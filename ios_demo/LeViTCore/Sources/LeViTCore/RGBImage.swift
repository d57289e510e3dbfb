/// A picture in memory: rows from above, three bytes a pixel (red, green, blue), nothing between rows.
public struct RGBImage: Equatable, Sendable {
  public let width: Int
  public let height: Int
  public let pixels: [UInt8]

  /// - Precondition: at least one pixel, and as many bytes as the size needs.
  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0, "a picture has at least one pixel")
    precondition(pixels.count == width * height * 3, "\(width) x \(height) pixels need \(width * height * 3) bytes")
    self.width = width
    self.height = height
    self.pixels = pixels
  }
}
