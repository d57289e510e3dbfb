import SwiftUI

@main
struct LeViTDemoApp: App {
  @State private var session = ModelSession()

  var body: some Scene {
    WindowGroup {
      ContentView()
        .environment(session)
    }
  }
}
