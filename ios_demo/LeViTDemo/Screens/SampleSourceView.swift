import SwiftUI

/// Drawn pictures, for where there is nothing else: a simulator has no camera.
struct SampleSourceView: View {
  let session: ModelSession
  @State private var sample = SamplePicture.golfBall

  var body: some View {
    VStack(spacing: 0) {
      if let data = try? sample.data() {
        StillPictureView(session: session, name: sample.name, data: data)
      } else {
        FailureView(failure: .unreadablePicture)
      }
      Picker("Sample", selection: $sample) {
        ForEach(SamplePicture.allCases) { sample in
          Text(sample.name).tag(sample)
        }
      }
      .pickerStyle(.segmented)
      .padding()
    }
  }
}
