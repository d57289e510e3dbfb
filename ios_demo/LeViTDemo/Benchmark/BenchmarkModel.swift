import Foundation
import LeViTCore
import Observation

/// The benchmark's screen: what runs, and what was measured since the app was started.
@MainActor
@Observable
final class BenchmarkModel {
  enum State: Equatable {
    case idle
    case running(BenchmarkProgress?)
    case failed(Failure)
  }

  private(set) var state = State.idle
  private(set) var runs: [BenchmarkRun] = []
  /// The runs as a file for `levit report`.
  private(set) var file: URL?

  let settings = BenchmarkSettings()
  private var task: Task<Void, Never>?

  var isRunning: Bool {
    if case .running = state { true } else { false }
  }

  func start(_ engine: Engine) {
    guard !isRunning else { return }
    state = .running(nil)
    task = Task {
      do {
        let run = try await engine.benchmark(settings) { progress in
          Task { @MainActor in
            if self.isRunning { self.state = .running(progress) }
          }
        }
        runs.append(run)
        file = try write()
        state = .idle
      } catch is CancellationError {
        state = .idle
      } catch {
        state = .failed(Failure(error) { .cannotRun(detail: $0) })
      }
    }
  }

  func cancel() {
    task?.cancel()
  }

  private func write() throws -> URL {
    let version = Bundle.main.object(forInfoDictionaryKey: "CFBundleShortVersionString") as? String ?? "0"
    let results = BenchmarkResults(
      created: .now, tool: "LeViT demo for iOS \(version)", settings: settings, runs: runs)
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("levit-ios.json")
    try results.json().write(to: place, options: .atomic)
    return place
  }
}
