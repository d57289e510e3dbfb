/// Latency in milliseconds of `count` inferences. The definitions are those of `levit bench`.
public struct LatencySummary: Codable, Equatable, Sendable {
  public let count: Int
  public let p50: Double
  public let p90: Double
  public let p99: Double
  public let min: Double
  public let mean: Double
  /// Standard deviation (of the population) over mean.
  public let cv: Double

  /// - Precondition: at least one sample.
  public init(_ samples: [Double]) {
    precondition(!samples.isEmpty, "nothing was measured")
    let sorted = samples.sorted()
    let mean = samples.reduce(0, +) / Double(samples.count)
    let variance = samples.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(samples.count)
    count = samples.count
    p50 = sorted.quantile(0.5).rounded(digits: 6)
    p90 = sorted.quantile(0.9).rounded(digits: 6)
    p99 = sorted.quantile(0.99).rounded(digits: 6)
    min = sorted[0].rounded(digits: 6)
    self.mean = mean.rounded(digits: 6)
    cv = (variance.squareRoot() / mean).rounded(digits: 6)
  }
}

extension [Double] {
  /// Of sorted numbers, with straight lines between them: NumPy's and R's default.
  func quantile(_ share: Double) -> Double {
    let place = share * Double(count - 1)
    let low = Int(place.rounded(.down))
    let high = Swift.min(low + 1, count - 1)
    let part = place - Double(low)
    let step = self[high] - self[low]
    return part < 0.5 ? self[low] + step * part : self[high] - step * (1 - part)
  }

  var median: Double { sorted().quantile(0.5) }
}

extension Double {
  func rounded(digits: Int) -> Double {
    let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
    return (self * scale).rounded(.toNearestOrEven) / scale
  }
}
