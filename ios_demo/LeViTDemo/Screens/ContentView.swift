import SwiftUI

struct ContentView: View {
  @Environment(ModelSession.self) private var session
  @Environment(\.scenePhase) private var scenePhase

  var body: some View {
    TabView {
      ClassifyScreen()
        .tabItem { Label("Classify", systemImage: "camera.viewfinder") }
      BenchmarkScreen()
        .tabItem { Label("Benchmark", systemImage: "stopwatch") }
      ModelScreen()
        .tabItem { Label("Model", systemImage: "shippingbox") }
    }
    .onChange(of: scenePhase, initial: true) { _, phase in
      // A bundle may have been copied to the phone meanwhile.
      if phase == .active { session.refresh() }
    }
  }
}

/// What is shown while a model is loaded, or instead of one; and otherwise what needs one.
struct WithModel<Content: View>: View {
  @Environment(ModelSession.self) private var session
  @ViewBuilder let content: (ModelSession) -> Content

  var body: some View {
    switch session.state {
    case .loading:
      ProgressView("Loading the model")
        .frame(maxWidth: .infinity, maxHeight: .infinity)
    case .failed(let failure):
      FailureView(failure: failure)
    case .ready:
      content(session)
    }
  }
}
