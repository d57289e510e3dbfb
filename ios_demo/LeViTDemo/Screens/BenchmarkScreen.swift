import LeViTCore
import SwiftUI

/// Latency on this phone; the same figures as `levit bench`, for `levit report`.
struct BenchmarkScreen: View {
  @State private var benchmark = BenchmarkModel()

  var body: some View {
    NavigationStack {
      WithModel { session in
        List {
          Section {
            ControlRow(session: session, benchmark: benchmark)
          } footer: {
            Text("The model alone, without the camera and without resizing. Leave the phone alone meanwhile.")
          }
          if case .failed(let failure) = benchmark.state {
            FailureView(failure: failure)
          }
          ForEach(benchmark.runs.reversed()) { run in
            RunSection(run: run)
          }
        }
      }
      .navigationTitle("Benchmark")
      .navigationBarTitleDisplayMode(.inline)
      .toolbar {
        if let file = benchmark.file {
          ToolbarItem(placement: .primaryAction) {
            ShareLink("Share the results", item: file)
          }
        }
      }
    }
  }
}

private struct ControlRow: View {
  let session: ModelSession
  let benchmark: BenchmarkModel

  var body: some View {
    if case .running(let progress) = benchmark.state {
      HStack {
        ProgressView()
        if let progress {
          Text("\(progress.runs) inferences")
            .monospacedDigit()
        } else {
          Text("Loading and warming up")
        }
        Spacer()
        Button("Stop", role: .cancel) { benchmark.cancel() }
      }
    } else {
      Button {
        benchmark.start(session.engine)
      } label: {
        Label("Measure", systemImage: "play.fill")
      }
    }
  }
}

private struct RunSection: View {
  let run: BenchmarkRun

  var body: some View {
    Section {
      time("Median (p50)", run.summary.p50)
      time("p90", run.summary.p90)
      time("p99", run.summary.p99)
      time("Shortest", run.summary.min)
      time("First inference", run.firstMilliseconds)
      time("Loading", run.loadMilliseconds)
      LabeledContent("Memory, at most") {
        Text("\(run.peakMegabytes.told) MB")
      }
      LabeledContent("Thermal state") {
        Text(run.hottest.told)
      }
      ForEach(run.invalid, id: \.self) { reason in
        Label {
          Text(verbatim: reason)
        } icon: {
          Image(systemName: "exclamationmark.triangle.fill")
        }
        .font(.footnote)
        .foregroundStyle(.orange)
        .accessibilityLabel("Not valid: \(reason)")
      }
    } header: {
      Text(verbatim: "\(run.artifact.bundle), \(run.place.facts.cpu)")
        .textCase(nil)
    } footer: {
      Text("\(run.summary.count) inferences, \(run.runtime.name) \(run.runtime.version)")
    }
  }

  private func time(_ name: LocalizedStringKey, _ milliseconds: Double) -> some View {
    LabeledContent(name) {
      Text("\(milliseconds.told) ms")
        .monospacedDigit()
    }
  }
}

extension BenchmarkRun {
  fileprivate var hottest: ThermalState { health.map(\.thermalState).max() ?? .nominal }
}

extension BenchmarkRun.ThermalState {
  fileprivate var told: LocalizedStringResource {
    switch self {
    case .nominal: "Nominal"
    case .fair: "Fair"
    case .serious: "Serious"
    case .critical: "Critical"
    }
  }
}
