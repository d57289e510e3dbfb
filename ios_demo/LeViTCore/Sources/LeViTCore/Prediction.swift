import Foundation

/// A class, and how likely it is.
public struct Prediction: Equatable, Sendable, Identifiable {
  /// The class's number.
  public let id: Int
  public let label: String
  /// 0...1.
  public let probability: Double

  public init(id: Int, label: String, probability: Double) {
    self.id = id
    self.label = label
    self.probability = probability
  }

  /// The `count` likeliest classes, likeliest first; of equals, the one with the lower number.
  ///
  /// - Precondition: as many logits as labels.
  public static func top(_ count: Int, of logits: [Float], labels: [String]) -> [Prediction] {
    precondition(logits.count == labels.count, "\(logits.count) logits for \(labels.count) labels")
    let shares = softmax(logits)
    // By the logits: far behind the first, shares are all 0.
    let order = logits.indices.sorted { (logits[$0], -$0) > (logits[$1], -$1) }
    return order.prefix(count).map { Prediction(id: $0, label: labels[$0], probability: shares[$0]) }
  }
}

/// Probabilities, in float64.
public func softmax(_ logits: [Float]) -> [Double] {
  let greatest = Double(logits.max() ?? 0)
  let powers = logits.map { exp(Double($0) - greatest) }
  let sum = powers.reduce(0, +)
  return powers.map { $0 / sum }
}
