import LeViTCore
import SwiftUI

/// Which bundle runs, on which processors, and what its manifest says.
struct ModelScreen: View {
  @Environment(ModelSession.self) private var session

  var body: some View {
    @Bindable var session = session
    NavigationStack {
      Group {
        if session.entries.isEmpty {
          FailureView(failure: .noModel)
        } else {
          Form {
            Picker("Bundle", selection: $session.selection) {
              ForEach(session.entries) { entry in
                Text(verbatim: entry.name).tag(Optional(entry.id))
              }
            }
            .pickerStyle(.inline)
            if session.bundle?.manifest.artifact.target == "coreml" {
              Picker("Processors", selection: $session.processors) {
                ForEach(Processors.allCases) { processors in
                  Text(processors.name).tag(processors)
                }
              }
              .pickerStyle(.inline)
            }
            ModelState(session: session)
          }
        }
      }
      .navigationTitle("Model")
      .navigationBarTitleDisplayMode(.inline)
    }
  }
}

private struct ModelState: View {
  let session: ModelSession

  var body: some View {
    Section("State") {
      switch session.state {
      case .loading:
        HStack {
          Text("Loading the model")
          Spacer()
          ProgressView()
        }
      case .failed(let failure):
        VStack(alignment: .leading, spacing: 4) {
          Label {
            Text(failure.title)
          } icon: {
            Image(systemName: failure.symbol)
          }
          .foregroundStyle(.red)
          Text(failure.explanation)
            .font(.footnote)
            .foregroundStyle(.secondary)
        }
        .accessibilityElement(children: .combine)
      case .ready(let parity):
        if parity.passed {
          Label("Answers as PyTorch does", systemImage: "checkmark.circle")
            .foregroundStyle(.green)
        } else {
          Label("Its answers are not PyTorch's", systemImage: "exclamationmark.triangle")
            .foregroundStyle(.orange)
        }
        LabeledContent("Largest difference of a logit, of their range") {
          Text(verbatim: parity.maxAbs.formatted(.percent.precision(.significantDigits(2))))
        }
      }
    }
    if let bundle = session.bundle {
      Section("Manifest") {
        fact("Variant", bundle.manifest.model.variant)
        fact("Target", bundle.manifest.artifact.target)
        fact("Precision", bundle.manifest.artifact.precision)
        fact("Classes", bundle.manifest.model.classes.formatted())
        fact("Size", Int64(bundle.artifactBytes).formatted(.byteCount(style: .file)))
      }
    }
  }

  private func fact(_ name: LocalizedStringKey, _ value: String) -> some View {
    LabeledContent(name) {
      Text(verbatim: value)
    }
  }
}
