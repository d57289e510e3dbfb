import LeViTCore
import Observation

/// The chosen bundle, and how far it is loaded.
@MainActor
@Observable
final class ModelSession {
  enum State: Equatable {
    case loading
    /// The model runs; how far its answers to the golden pictures are from PyTorch's.
    case ready(Parity)
    case failed(Failure)
  }

  let engine = Engine()
  private(set) var entries: [BundleStore.Entry] = []
  private(set) var state = State.loading

  /// Which bundle, by its folder.
  var selection: BundleStore.Entry.ID? {
    didSet { if selection != oldValue { load() } }
  }

  /// Which processors Core ML may use.
  var processors = Processors.all {
    didSet { if processors != oldValue { load() } }
  }

  private var loading: Task<Void, Never>?

  var bundle: ModelBundle? {
    try? entries.first { $0.id == selection }?.bundle.get()
  }

  /// Look for bundles again; the chosen one stays if it is still there.
  func refresh() {
    entries = BundleStore.entries()
    if entries.isEmpty {
      state = .failed(.noModel)
      selection = nil
    } else if !entries.contains(where: { $0.id == selection }) {
      selection = entries.first?.id
    }
  }

  private func load() {
    loading?.cancel()
    guard let entry = entries.first(where: { $0.id == selection }) else { return }
    state = .loading
    loading = Task {
      let found = await outcome(of: entry)
      // Somebody may have chosen another one meanwhile.
      if !Task.isCancelled { state = found }
    }
  }

  private func outcome(of entry: BundleStore.Entry) async -> State {
    do {
      return .ready(try await engine.load(entry.bundle.get(), processors))
    } catch {
      return .failed(Failure(error) { .cannotLoad(detail: $0) })
    }
  }
}
