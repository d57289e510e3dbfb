import LeViTCore
import SwiftUI

/// The likeliest classes, and how long it took.
struct AnswerView: View {
  let answer: Answer?

  var body: some View {
    if let answer {
      List {
        Section {
          ForEach(answer.predictions) { prediction in
            PredictionRow(prediction: prediction, isFirst: prediction == answer.predictions.first)
          }
        } footer: {
          Text("Model \(answer.inferenceMilliseconds.told) ms, resizing \(answer.preprocessingMilliseconds.told) ms")
            .monospacedDigit()
        }
      }
      .listStyle(.plain)
      .accessibilityElement(children: .contain)
      .accessibilityLabel("Likeliest classes")
    } else {
      ProgressView("Waiting for a picture")
        .frame(maxWidth: .infinity, maxHeight: .infinity)
    }
  }
}

private struct PredictionRow: View {
  let prediction: Prediction
  let isFirst: Bool

  var body: some View {
    VStack(alignment: .leading, spacing: 4) {
      HStack(alignment: .firstTextBaseline) {
        Text(verbatim: prediction.label)
          .fontWeight(isFirst ? .semibold : .regular)
        Spacer()
        Text(share)
          .monospacedDigit()
          .foregroundStyle(.secondary)
      }
      ProgressView(value: min(max(prediction.probability, 0), 1))
        .tint(isFirst ? Color.accentColor : Color.secondary)
    }
    .accessibilityElement(children: .ignore)
    .accessibilityLabel(Text(verbatim: prediction.label))
    .accessibilityValue(Text(share))
    .accessibilityAddTraits(isFirst ? .updatesFrequently : [])
  }

  private var share: String {
    prediction.probability.formatted(.percent.precision(.fractionLength(1)))
  }
}

extension Double {
  /// Milliseconds with as many digits as anyone can use.
  var told: String {
    formatted(.number.precision(.fractionLength(self < 10 ? 2 : 1)))
  }
}
