import Testing

@testable import LeViTCore

struct PredictionTests {
  @Test func goldenAnswers() throws {
    let vectors = try GoldenVectors.all.get()
    for vector in vectors.cases {
      let found = Prediction.top(vector.top.count, of: vector.logits, labels: vectors.labels)
      #expect(found.map(\.id) == vector.top.map(\.class))
      #expect(found.map(\.label) == vector.top.map(\.label))
      for (one, other) in zip(found, vector.top) {
        #expect(abs(one.probability - other.probability) < 1e-9)
      }
    }
  }

  @Test func equalsKeepTheirOrder() {
    let found = Prediction.top(2, of: [1, 3, 3, 0], labels: ["a", "b", "c", "d"])
    #expect(found.map(\.label) == ["b", "c"])
  }

  @Test func moreThanThereAre() {
    #expect(Prediction.top(5, of: [0, 1], labels: ["a", "b"]).count == 2)
  }

  @Test func hugeLogits() {
    #expect(softmax([1000, 0, -1000]) == [1, 0, 0])
    #expect(Prediction.top(3, of: [-1000, 0, 1000], labels: ["a", "b", "c"]).map(\.id) == [2, 1, 0])
  }
}
