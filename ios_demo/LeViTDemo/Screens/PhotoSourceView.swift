import PhotosUI
import SwiftUI

/// A photo of the library. The system's picker shows it, so the app needs no permission.
struct PhotoSourceView: View {
  let session: ModelSession
  @State private var item: PhotosPickerItem?
  @State private var data: Data?
  @State private var failure: Failure?

  var body: some View {
    VStack(spacing: 0) {
      if let failure {
        FailureView(failure: failure)
      } else if let data {
        StillPictureView(session: session, name: "Chosen photo", data: data)
      } else {
        ContentUnavailableView("No photo chosen", systemImage: "photo", description: Text("It stays on this phone."))
      }
      PhotosPicker(selection: $item, matching: .images) {
        Label("Choose a photo", systemImage: "photo.on.rectangle")
          .frame(maxWidth: .infinity)
      }
      .buttonStyle(.borderedProminent)
      .controlSize(.large)
      .padding()
    }
    .task(id: item) { await load() }
  }

  private func load() async {
    guard let item else { return }
    do {
      data = try await item.loadTransferable(type: Data.self)
      failure = data == nil ? .unreadablePicture : nil
    } catch {
      failure = .unreadablePicture
    }
  }
}
