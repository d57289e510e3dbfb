import Foundation
import Testing

@testable import LeViTCore

/// Where the expected numbers come from: Python's preprocessing (Pillow), through the golden vectors.
struct PreprocessingTests {
  let vectors: GoldenVectors

  init() throws {
    vectors = try GoldenVectors.all.get()
  }

  private func port(_ layout: TensorPort.Layout, _ dtype: String = "float32", _ more: String = "") throws
    -> TensorPort
  {
    let takes = dtype == "float32" ? "normalised pixels" : "pixels"
    let json = """
      {"name": "image", "shape": [], "dtype": "\(dtype)", "layout": "\(layout.rawValue)", "takes": "\(takes)" \(more)}
      """
    return try JSONDecoder().decode(TensorPort.self, from: Data(json.utf8))
  }

  @Test func thereAreVectors() {
    #expect(vectors.cases.count >= 8)
    #expect(vectors.cases.contains { max($0.width, $0.height) > 16 * min($0.width, $0.height) })
  }

  @Test(arguments: try GoldenVectors.all.get().cases)
  func pixelsAreTheSame(of vector: GoldenVectors.Case) throws {
    let found = vectors.preprocessing.resizeAndCrop(try vector.image())
    let wanted = try vector.cropped(to: vectors.preprocessing.crop)
    let different = zip(found.pixels, wanted.pixels).filter { $0 != $1 }.count
    #expect(different == 0)
    #expect(found == wanted)
  }

  @Test(arguments: try GoldenVectors.all.get().cases, [TensorPort.Layout.nchw, .nhwc])
  func tensorIsTheSame(of vector: GoldenVectors.Case, layout: TensorPort.Layout) throws {
    let spec = vectors.preprocessing
    let encoding = TensorEncoding(input: try port(layout), preprocessing: spec)
    let tensor = encoding.encode(spec.resizeAndCrop(try vector.image()))
    #expect(tensor.count == spec.crop * spec.crop * 3 * 4)
    for entry in vector.entries {
      let place = layout == .nchw ? entry.nchw : entry.nhwc
      let bits = tensor.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place * 4, as: UInt32.self) }
      #expect(UInt32(littleEndian: bits) == entry.bits)
    }
    if layout == .nchw {
      #expect(SHA256Digest.hex(of: tensor) == vector.tensorDigest)
    }
  }

  @Test func everyLevelIsTheSame() throws {
    let side = vectors.preprocessing.crop
    var pixels = [UInt8](repeating: 0, count: side * side * 3)
    for level in 0..<256 {
      for channel in 0..<3 { pixels[level * 3 + channel] = UInt8(level) }
    }
    let picture = RGBImage(width: side, height: side, pixels: pixels)
    let tensor = TensorEncoding(input: try port(.nhwc), preprocessing: vectors.preprocessing).encode(picture)
    tensor.withUnsafeBytes { bytes in
      let bits = bytes.bindMemory(to: UInt32.self)
      for level in 0..<256 {
        for channel in 0..<3 { #expect(bits[level * 3 + channel] == vectors.levels[channel][level]) }
      }
    }
  }

  @Test(arguments: [("uint8", 0, UInt8(0)), ("int8", -128, UInt8(128))])
  func wholeNumbersAreLevels(dtype: String, zeroPoint: Int, first: UInt8) throws {
    let side = vectors.preprocessing.crop
    var pixels = [UInt8](repeating: 0, count: side * side * 3)
    pixels[4] = 200  // the second pixel's green
    pixels[5] = 255
    let input = try port(.nhwc, dtype, ", \"scale\": 1.0, \"zero_point\": \(zeroPoint)")
    let tensor = TensorEncoding(input: input, preprocessing: vectors.preprocessing)
      .encode(RGBImage(width: side, height: side, pixels: pixels))
    #expect(tensor.count == pixels.count)
    #expect(tensor[0] == first)
    #expect(tensor[4] == 200 &+ first)
    #expect(tensor[5] == 255 &+ first)
  }

  @Test func normalisedPixelsAreQuantised() throws {
    let json = """
      {"name": "image", "shape": [], "dtype": "int8", "layout": "nchw", "takes": "normalised pixels",
       "scale": 0.02, "zero_point": -14}
      """
    let input = try JSONDecoder().decode(TensorPort.self, from: Data(json.utf8))
    let side = vectors.preprocessing.crop
    let black = RGBImage(width: side, height: side, pixels: [UInt8](repeating: 0, count: side * side * 3))
    let tensor = TensorEncoding(input: input, preprocessing: vectors.preprocessing).encode(black)
    // -0.485 / 0.229 / 0.02 = -105.9, and -14: below -119 nothing is lost; -0.406 / 0.225 / 0.02 = -90.2.
    #expect(Int8(bitPattern: tensor[0]) == -120)
    #expect(Int8(bitPattern: tensor[2 * side * side]) == -104)
  }

  @Test func aPictureOfTheRightSizeIsKept() {
    let exact = try? JSONDecoder().decode(
      Preprocessing.self, from: Data(#"{"resize": 4, "crop": 4, "mean": [0, 0, 0], "std": [1, 1, 1]}"#.utf8))
    let picture = RGBImage(width: 4, height: 4, pixels: (0..<48).map { UInt8($0 * 5) })
    #expect(exact?.resizeAndCrop(picture) == picture)
  }
}
