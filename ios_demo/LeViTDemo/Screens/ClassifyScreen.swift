import SwiftUI

/// Where pictures come from.
enum PictureSource: CaseIterable, Identifiable {
  case camera, photo, samples

  var id: Self { self }

  var name: LocalizedStringResource {
    switch self {
    case .camera: "Camera"
    case .photo: "Photo"
    case .samples: "Samples"
    }
  }
}

struct ClassifyScreen: View {
  @State private var source = PictureSource.camera

  var body: some View {
    NavigationStack {
      WithModel { session in
        Group {
          switch source {
          case .camera: CameraSourceView(session: session)
          case .photo: PhotoSourceView(session: session)
          case .samples: SampleSourceView(session: session)
          }
        }
        .frame(maxWidth: .infinity, maxHeight: .infinity)
      }
      .navigationTitle("LeViT")
      .navigationBarTitleDisplayMode(.inline)
      .toolbar {
        ToolbarItem(placement: .principal) {
          Picker("Source of pictures", selection: $source) {
            ForEach(PictureSource.allCases) { source in
              Text(source.name).tag(source)
            }
          }
          .pickerStyle(.segmented)
          .labelsHidden()
        }
      }
    }
  }
}

/// A square picture and the answer: one below the other, or side by side where there is more width than height.
struct PictureAndAnswer<Picture: View>: View {
  let answer: Answer?
  let failure: Failure?
  @ViewBuilder let picture: Picture
  @Environment(\.verticalSizeClass) private var verticalSizeClass

  var body: some View {
    let isWide = verticalSizeClass == .compact
    let layout = isWide ? AnyLayout(HStackLayout(spacing: 0)) : AnyLayout(VStackLayout(spacing: 0))
    layout {
      picture
        .aspectRatio(1, contentMode: .fit)
        .clipped()
        .layoutPriority(1)
      if let failure {
        FailureView(failure: failure)
      } else {
        AnswerView(answer: answer)
      }
    }
  }
}

/// The square that the model sees of what is shown.
struct CropFrame: View {
  /// The crop's side as a share of the shorter side.
  let share: Double

  var body: some View {
    GeometryReader { space in
      let side = min(space.size.width, space.size.height) * share
      RoundedRectangle(cornerRadius: 8)
        .stroke(.white.opacity(0.8), lineWidth: 2)
        .frame(width: side, height: side)
        .frame(maxWidth: .infinity, maxHeight: .infinity)
    }
    .allowsHitTesting(false)
    .accessibilityHidden(true)
  }
}
