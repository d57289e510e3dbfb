import Foundation

/// From pixels to the bytes of an artifact's input tensor, as the manifest's `input` and `preprocessing` ask for them.
///
/// Each channel has only 256 levels, so what each becomes is computed once.
public struct TensorEncoding: Sendable {
  private let tables: Tables
  private let layout: TensorPort.Layout
  private let side: Int

  private enum Tables: Sendable {
    case float32([[Float]])
    case int8([[Int8]])
    case uint8([[UInt8]])
  }

  /// - Precondition: the manifest was checked: see `ModelBundle`.
  public init(input: TensorPort, preprocessing: Preprocessing) {
    let levels: [[Float]] = (0..<3).map { channel in
      let mean = Float(preprocessing.mean[channel])
      let std = Float(preprocessing.std[channel])
      return (0..<256).map { number in
        let level = Float(number)
        return input.takes == .pixels ? level : (level / 255 - mean) / std
      }
    }
    switch input.dtype {
    case .float32:
      tables = .float32(levels)
    case .int8:
      tables = .int8(levels.map { $0.map { Int8(input.quantised($0, from: -128, through: 127)) } })
    case .uint8:
      tables = .uint8(levels.map { $0.map { UInt8(input.quantised($0, from: 0, through: 255)) } })
    }
    layout = input.layout ?? .nchw
    side = preprocessing.crop
  }

  /// The tensor of one picture, in the machine's byte order (little-endian on every phone).
  ///
  /// - Precondition: the picture has the size of the preprocessing's crop.
  public func encode(_ image: RGBImage) -> Data {
    precondition(image.width == side && image.height == side, "resize and crop the picture first")
    switch tables {
    case .float32(let levels): return bytes(of: image, levels)
    case .int8(let levels): return bytes(of: image, levels)
    case .uint8(let levels): return bytes(of: image, levels)
    }
  }

  private func bytes<Number>(of image: RGBImage, _ levels: [[Number]]) -> Data {
    let count = image.pixels.count
    let area = count / 3
    let tensor = [Number](unsafeUninitializedCapacity: count) { tensor, filled in
      image.pixels.withUnsafeBufferPointer { pixels in
        for channel in 0..<3 {
          levels[channel].withUnsafeBufferPointer { level in
            for pixel in 0..<area {
              let place = layout == .nchw ? channel * area + pixel : pixel * 3 + channel
              tensor[place] = level[Int(pixels[pixel * 3 + channel])]
            }
          }
        }
      }
      filled = count
    }
    return tensor.withUnsafeBytes { Data($0) }
  }
}

extension TensorPort {
  /// The whole number that stands for a value: value = scale * (number - zero point).
  fileprivate func quantised(_ value: Float, from low: Int, through high: Int) -> Int {
    let number = (Double(value) / (scale ?? 1)).rounded(.toNearestOrEven) + Double(zeroPoint ?? 0)
    return Int(min(max(number, Double(low)), Double(high)))
  }
}
