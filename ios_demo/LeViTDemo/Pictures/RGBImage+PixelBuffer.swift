import CoreVideo
import LeViTCore

extension RGBImage {
  /// What Core ML and Vision take: BGRA, which is converted to the model's RGB without a change of the levels.
  func pixelBuffer() throws -> CVPixelBuffer {
    var created: CVPixelBuffer?
    CVPixelBufferCreate(kCFAllocatorDefault, width, height, kCVPixelFormatType_32BGRA, nil, &created)
    guard let buffer = created else {
      throw Failure.cannotRun(detail: "There is no memory for a picture of \(width) x \(height) pixels.")
    }
    CVPixelBufferLockBaseAddress(buffer, [])
    defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
    guard let base = CVPixelBufferGetBaseAddress(buffer) else {
      throw Failure.cannotRun(detail: "The pixels of a new picture cannot be reached.")
    }
    let rowBytes = CVPixelBufferGetBytesPerRow(buffer)
    let bytes = UnsafeMutableRawBufferPointer(start: base, count: rowBytes * height)
    for y in 0..<height {
      for x in 0..<width {
        let (from, to) = ((y * width + x) * 3, y * rowBytes + x * 4)
        bytes[to] = pixels[from + 2]
        bytes[to + 1] = pixels[from + 1]
        bytes[to + 2] = pixels[from]
        bytes[to + 3] = 255
      }
    }
    return buffer
  }

  /// A camera's frame, which must be BGRA.
  init(_ buffer: CVPixelBuffer) throws {
    CVPixelBufferLockBaseAddress(buffer, .readOnly)
    defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
    guard CVPixelBufferGetPixelFormatType(buffer) == kCVPixelFormatType_32BGRA,
      let base = CVPixelBufferGetBaseAddress(buffer)
    else { throw Failure.unreadablePicture }
    let (width, height) = (CVPixelBufferGetWidth(buffer), CVPixelBufferGetHeight(buffer))
    let rowBytes = CVPixelBufferGetBytesPerRow(buffer)
    let bytes = UnsafeRawBufferPointer(start: base, count: rowBytes * height)
    let pixels = Self.packed(bytes, width: width, height: height, rowBytes: rowBytes, red: 2)
    self.init(width: width, height: height, pixels: pixels)
  }
}
