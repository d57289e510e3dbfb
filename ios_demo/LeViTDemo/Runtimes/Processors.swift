import CoreML
import Foundation

/// Which processors Core ML may use; it decides for each layer which of them does.
enum Processors: String, CaseIterable, Identifiable, Sendable {
  case all, cpu, gpu, neuralEngine

  var id: Self { self }

  var computeUnits: MLComputeUnits {
    switch self {
    case .all: .all
    case .cpu: .cpuOnly
    case .gpu: .cpuAndGPU
    case .neuralEngine: .cpuAndNeuralEngine
    }
  }

  var name: LocalizedStringResource {
    switch self {
    case .all: "All"
    case .cpu: "CPU"
    case .gpu: "CPU and GPU"
    case .neuralEngine: "CPU and Neural Engine"
    }
  }

  /// As benchmark results have it, in every language.
  var told: String {
    switch self {
    case .all: "CPU, GPU and Neural Engine"
    case .cpu: "CPU"
    case .gpu: "CPU and GPU"
    case .neuralEngine: "CPU and Neural Engine"
    }
  }
}
