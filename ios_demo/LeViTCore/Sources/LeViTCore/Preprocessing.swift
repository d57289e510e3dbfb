/// What happens to a picture before the model sees it, as a bundle's manifest tells it.
public struct Preprocessing: Decodable, Equatable, Sendable {
  /// Pixels of the shorter side after resizing.
  public let resize: Int
  /// Pixels a side of the square that is cut out of the middle: the model's input.
  public let crop: Int
  /// Per channel (red, green, blue), of pixels in 0...1.
  public let mean: [Double]
  /// The same.
  public let std: [Double]
  private let interpolation: String?
  private let antialias: Bool?

  /// Longer sides are resized only where the crop will be.
  private static let longest = 4096

  /// What is wrong with it, or nil.
  var problem: String? {
    if let interpolation, interpolation != "bicubic" {
      return "interpolation is \(interpolation), and only bicubic is supported"
    }
    if antialias == false { return "pictures are resized without antialiasing, which is not supported" }
    let numbers = mean + std
    guard mean.count == 3, std.count == 3, numbers.allSatisfy(\.isFinite), std.allSatisfy({ $0 > 0 }) else {
      return "mean and std are not three numbers each, the latter above 0"
    }
    guard crop > 0, crop <= resize, resize <= Self.longest else {
      return "pictures cannot be resized to \(resize) and cut to \(crop) pixels"
    }
    return nil
  }

  /// Resize the shorter side to `resize` (bicubic, antialiased) and cut the middle: `crop` x `crop` pixels.
  ///
  /// The same pixels as `levit` has in Python, bit for bit; the repository's golden vectors say so.
  public func resizeAndCrop(_ image: RGBImage) -> RGBImage {
    let short = min(image.width, image.height)
    let columns = Axis(old: image.width, short: short, resize: resize, crop: crop)
    let rows = Axis(old: image.height, short: short, resize: resize, crop: crop)
    let columnsFirst = image.height - rows.new > max(0, 2 * (image.width - columns.new))
    let cutsEarly = max(columns.new, rows.new) > Self.longest
    let across = cutsEarly ? columns.ofMiddle(crop) : columns.ofAll(crop)
    let along = cutsEarly ? rows.ofMiddle(crop) : rows.ofAll(crop)
    let picture = image.part(columns: across.inputs, rows: along.inputs)
    let horizontal = across.filter
    let vertical = along.filter
    let pixels: [UInt8]
    // Pixels are clipped between the two directions, so their order counts.
    if columnsFirst {
      let narrow = vertical.alongColumns(picture, stride: across.inputs.count)
      pixels = horizontal.alongRows(narrow, stride: across.inputs.count, height: crop)
    } else {
      let narrow = horizontal.alongRows(picture, stride: across.inputs.count, height: along.inputs.count)
      pixels = vertical.alongColumns(narrow, stride: crop)
    }
    return RGBImage(width: crop, height: crop, pixels: pixels)
  }
}

/// One side of a picture: its pixels, those it is resized to, and where the crop begins among the latter.
private struct Axis {
  let old: Int
  let new: Int
  let first: Int

  init(old: Int, short: Int, resize: Int, crop: Int) {
    self.old = old
    // As torchvision does: the longer side is truncated, the offset rounded half to even.
    new = old == short ? resize : Int(Double(resize * old) / Double(short))
    first = Int((Double(new - crop) / 2).rounded(.toNearestOrEven))
  }

  /// The whole side is scaled, and the crop's pixels are wanted.
  func ofAll(_ crop: Int) -> (inputs: Range<Int>, filter: Bicubic) {
    let filter = Bicubic(inputs: old, box: 0...Float(old), outputs: new, wanted: first..<first + crop)
    return (0..<old, filter)
  }

  /// Only what the crop will show is cut out and scaled: whole, a strip of 20,000 x 50 would become 102,400 x 256.
  func ofMiddle(_ crop: Int) -> (inputs: Range<Int>, filter: Bicubic) {
    let ratio = Double(old) / Double(new)
    let start = Double(first) * ratio
    let stop = Double(first + crop) * ratio
    // Two pixels of the coarser grid are what the filter sees; and one for rounding.
    let reach = 2 * max(ratio, 1) + 1
    let low = max(0, Int((start - reach).rounded(.down)))
    let high = min(old, Int((stop + reach).rounded(.up)))
    let box = Float(start - Double(low))...Float(min(stop, Double(old)) - Double(low))
    return (low..<high, Bicubic(inputs: high - low, box: box, outputs: crop, wanted: 0..<crop))
  }
}

extension RGBImage {
  fileprivate func part(columns: Range<Int>, rows: Range<Int>) -> [UInt8] {
    if columns.count == width && rows.count == height { return pixels }
    var part: [UInt8] = []
    part.reserveCapacity(columns.count * rows.count * 3)
    for y in rows {
      part += pixels[(y * width + columns.lowerBound) * 3..<(y * width + columns.upperBound) * 3]
    }
    return part
  }
}
