import LeViTCore
import SwiftUI
import UIKit

/// A picture that stays, and what the model says of it.
struct StillPictureView: View {
  let session: ModelSession
  let name: LocalizedStringResource
  /// The file's bytes.
  let data: Data
  @State private var answer: Answer?
  @State private var failure: Failure?

  var body: some View {
    PictureAndAnswer(answer: answer, failure: failure) {
      ZStack {
        Color(uiColor: .secondarySystemBackground)
        if let picture = UIImage(data: data) {
          Color.clear
            .overlay {
              Image(uiImage: picture)
                .resizable()
                .scaledToFill()
            }
            .clipped()
        }
        if let crop = session.bundle?.manifest.preprocessing {
          CropFrame(share: Double(crop.crop) / Double(crop.resize))
        }
      }
      .accessibilityElement(children: .ignore)
      .accessibilityLabel(Text(name))
      .accessibilityAddTraits(.isImage)
    }
    .task(id: data) { await classify() }
  }

  private func classify() async {
    do {
      answer = try await session.engine.classify { [data] in try RGBImage(decoding: data) }
      failure = nil
    } catch {
      failure = Failure(error) { .cannotRun(detail: $0) }
    }
  }
}
