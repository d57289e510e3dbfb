import AVFoundation
import LeViTCore
import SwiftUI

/// The live camera. Each frame that the model has time for is classified.
struct CameraSourceView: View {
  let session: ModelSession
  @State private var camera = Camera()
  @State private var device: AVCaptureDevice?
  @State private var answer: Answer?
  @State private var failure: Failure?

  var body: some View {
    Group {
      if let failure, device == nil {
        FailureView(failure: failure)
      } else {
        PictureAndAnswer(answer: answer, failure: failure) {
          ZStack {
            Color.black
            if let device {
              CameraPreview(camera: camera, device: device)
            }
            if let crop = session.bundle?.manifest.preprocessing {
              CropFrame(share: Double(crop.crop) / Double(crop.resize))
            }
          }
          .accessibilityElement(children: .ignore)
          .accessibilityLabel("Live picture of the camera")
          .accessibilityAddTraits(.isImage)
        }
      }
    }
    .task { await run() }
  }

  private func run() async {
    let frames: AsyncStream<CameraFrame>
    do {
      (device, frames) = try await camera.start()
    } catch {
      failure = Failure(error) { _ in .noCamera }
      return
    }
    for await frame in frames {
      do {
        answer = try await session.engine.classify { try RGBImage(frame.buffer) }
        failure = nil
      } catch {
        failure = Failure(error) { .cannotRun(detail: $0) }
      }
    }
  }
}
