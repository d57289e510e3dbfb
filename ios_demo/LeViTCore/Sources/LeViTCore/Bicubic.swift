/// Pillow's bicubic resampling of 8-bit pixels, to the bit.
///
/// One direction at a time. The filter (a = -0.5) is as wide as the picture is scaled down; its coefficients are computed
/// in float64 and rounded to 22 bits after the point; sums are clipped to 8 bits.
struct Bicubic {
  /// The fewest bits that are left for the whole part of a sum: 8, and two for what overshoots.
  private static let precision = 32 - 8 - 2
  private static let reach = 2.0

  /// For each output, the first input that counts, and how many do.
  private let bounds: [(first: Int, count: Int)]
  /// `width` of them for each output.
  private let coefficients: [Int32]
  private let width: Int

  /// - Parameters:
  ///   - inputs: pixels along the direction.
  ///   - box: the part of them that is scaled.
  ///   - outputs: pixels that the box becomes.
  ///   - wanted: those of the outputs that are computed.
  init(inputs: Int, box: ClosedRange<Float>, outputs: Int, wanted: Range<Int>) {
    let scale = Double(box.upperBound - box.lowerBound) / Double(outputs)
    let stretch = max(scale, 1)
    let support = Self.reach * stretch
    width = Int(support.rounded(.up)) * 2 + 1
    var bounds: [(first: Int, count: Int)] = []
    var coefficients: [Int32] = []
    bounds.reserveCapacity(wanted.count)
    coefficients.reserveCapacity(wanted.count * width)
    for output in wanted {
      let centre = Double(box.lowerBound) + (Double(output) + 0.5) * scale
      let first = max(Int(centre - support + 0.5), 0)
      let end = min(Int(centre + support + 0.5), inputs)
      var weights = (first..<end).map { Self.weight((Double($0) - centre + 0.5) * (1 / stretch)) }
      let sum = weights.reduce(0, +)
      if sum != 0 {
        weights = weights.map { $0 / sum }
      }
      bounds.append((first, weights.count))
      coefficients += weights.map(Self.fixed)
      coefficients += repeatElement(0, count: width - weights.count)
    }
    self.bounds = bounds
    self.coefficients = coefficients
  }

  /// Change the width: RGB, `height` rows of `stride` pixels -> `height` rows of as many pixels as are wanted.
  func alongRows(_ input: [UInt8], stride: Int, height: Int) -> [UInt8] {
    let outputs = bounds.count
    return [UInt8](unsafeUninitializedCapacity: outputs * height * 3) { output, filled in
      input.withUnsafeBufferPointer { input in
        coefficients.withUnsafeBufferPointer { coefficients in
          for y in 0..<height {
            for x in 0..<outputs {
              sum(
                from: input, at: (y * stride + bounds[x].first) * 3, step: 3, count: bounds[x].count,
                weights: coefficients, at: x * width, into: output, at: (y * outputs + x) * 3)
            }
          }
        }
      }
      filled = outputs * height * 3
    }
  }

  /// Change the height: RGB, rows of `stride` pixels -> as many rows as are wanted.
  func alongColumns(_ input: [UInt8], stride: Int) -> [UInt8] {
    let outputs = bounds.count
    return [UInt8](unsafeUninitializedCapacity: stride * outputs * 3) { output, filled in
      input.withUnsafeBufferPointer { input in
        coefficients.withUnsafeBufferPointer { coefficients in
          for y in 0..<outputs {
            for x in 0..<stride {
              sum(
                from: input, at: (bounds[y].first * stride + x) * 3, step: stride * 3, count: bounds[y].count,
                weights: coefficients, at: y * width, into: output, at: (y * stride + x) * 3)
            }
          }
        }
      }
      filled = stride * outputs * 3
    }
  }

  @inline(__always)
  private func sum(
    from input: UnsafeBufferPointer<UInt8>, at start: Int, step: Int, count: Int,
    weights: UnsafeBufferPointer<Int32>, at first: Int,
    into output: UnsafeMutableBufferPointer<UInt8>, at place: Int
  ) {
    var red = Int32(1) << (Self.precision - 1)
    var green = red
    var blue = red
    for at in 0..<count {
      let weight = weights[first + at]
      let pixel = start + at * step
      red &+= Int32(input[pixel]) &* weight
      green &+= Int32(input[pixel + 1]) &* weight
      blue &+= Int32(input[pixel + 2]) &* weight
    }
    output[place] = Self.clipped(red)
    output[place + 1] = Self.clipped(green)
    output[place + 2] = Self.clipped(blue)
  }

  private static func clipped(_ sum: Int32) -> UInt8 {
    UInt8(min(max(sum >> Int32(precision), 0), 255))
  }

  private static func fixed(_ weight: Double) -> Int32 {
    Int32(weight * Double(1 << precision) + (weight < 0 ? -0.5 : 0.5))
  }

  private static func weight(_ distance: Double) -> Double {
    let a = -0.5
    let x = abs(distance)
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
    return 0
  }
}
