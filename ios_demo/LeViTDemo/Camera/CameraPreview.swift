import AVFoundation
import SwiftUI
import UIKit

/// What the camera sees, level however the phone is held.
struct CameraPreview: UIViewRepresentable {
  let camera: Camera
  let device: AVCaptureDevice

  func makeUIView(context: Context) -> PreviewView {
    PreviewView(camera: camera, device: device)
  }

  func updateUIView(_ view: PreviewView, context: Context) {}
}

final class PreviewView: UIView {
  private let camera: Camera
  private let preview: AVCaptureVideoPreviewLayer
  private let rotation: AVCaptureDevice.RotationCoordinator
  private var observations: [NSKeyValueObservation] = []

  init(camera: Camera, device: AVCaptureDevice) {
    self.camera = camera
    preview = AVCaptureVideoPreviewLayer(session: camera.session)
    rotation = AVCaptureDevice.RotationCoordinator(device: device, previewLayer: preview)
    super.init(frame: .zero)
    preview.videoGravity = .resizeAspectFill
    layer.addSublayer(preview)
    observations = [
      rotation.observe(\.videoRotationAngleForHorizonLevelPreview, options: [.initial, .new]) { [weak self] _, _ in
        // The coordinator tells of changes on the main queue.
        MainActor.assumeIsolated { self?.turnPreview() }
      },
      rotation.observe(\.videoRotationAngleForHorizonLevelCapture, options: [.initial, .new]) { [weak self] _, _ in
        MainActor.assumeIsolated { self?.turnFrames() }
      },
    ]
  }

  @available(*, unavailable)
  required init?(coder: NSCoder) {
    fatalError("made in code only")
  }

  override func layoutSubviews() {
    super.layoutSubviews()
    preview.frame = bounds
  }

  private func turnPreview() {
    let angle = rotation.videoRotationAngleForHorizonLevelPreview
    guard let connection = preview.connection, connection.isVideoRotationAngleSupported(angle) else { return }
    connection.videoRotationAngle = angle
  }

  private func turnFrames() {
    camera.turnFrames(to: rotation.videoRotationAngleForHorizonLevelCapture)
  }
}
