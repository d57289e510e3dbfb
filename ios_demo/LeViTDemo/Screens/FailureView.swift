import SwiftUI
import UIKit

/// A failure in words, with what can be done about it.
struct FailureView: View {
  let failure: Failure
  @Environment(\.openURL) private var openURL

  var body: some View {
    ContentUnavailableView {
      Label {
        Text(failure.title)
      } icon: {
        Image(systemName: failure.symbol)
      }
    } description: {
      Text(failure.explanation)
    } actions: {
      if failure == .cameraDenied, let settings = URL(string: UIApplication.openSettingsURLString) {
        Button("Open Settings") { openURL(settings) }
          .buttonStyle(.borderedProminent)
      }
    }
  }
}
