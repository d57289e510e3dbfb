@_exported import AppleFoundation

public enum DataType: Int8 {
  case byte = 0
  case char = 1
  case short = 2
  case int = 3
  case long = 4
  case half = 5
  case float = 6
  case double = 7
}

public enum ShapeDynamism: UInt8 {
  case `static`, dynamicBound, dynamicUnbound
}

public protocol Scalar {
  static var dataType: DataType { get }
}

extension Float: Scalar {
  public static var dataType: DataType { .float }
}

public class AnyTensor: NSObject {
  public var dataType: DataType { fatalError() }
  public var shape: [Int] { fatalError() }
  public var count: Int { fatalError() }
  public init(
    data: Data, shape: [Int], strides: [Int] = [], dimensionOrder: [Int] = [], dataType: DataType,
    shapeDynamism: ShapeDynamism = .dynamicBound
  ) {}
  public func asTensor<T: Scalar>() -> Tensor<T>? { fatalError() }
}

public final class Tensor<T: Scalar>: Equatable {
  public init(_ tensor: AnyTensor) {}
  public var count: Int { fatalError() }
  public func scalars() -> [T] { fatalError() }
  public static func == (one: Tensor<T>, other: Tensor<T>) -> Bool { fatalError() }
}

public class Value: NSObject {
  public var anyTensor: AnyTensor? { fatalError() }
  public func tensor<T: Scalar>() -> Tensor<T>? { fatalError() }
}

public protocol ValueConvertible {
  func asValue() -> Value
}

public protocol ValueSequenceConstructible {
  static func from(_ values: [Value]) throws -> Self
}

extension Value: ValueConvertible {
  public func asValue() -> Value { fatalError() }
}

extension AnyTensor: ValueConvertible {
  public func asValue() -> Value { fatalError() }
}

extension Tensor: ValueConvertible {
  public func asValue() -> Value { fatalError() }
}

public enum ModuleLoadMode: Int {
  case file, mmap, mmapUseMlock, mmapUseMlockIgnoreErrors
}

public class Module: NSObject {
  public init(filePath: String) {}
  public init(filePath: String, loadMode: ModuleLoadMode) {}
  public func load(_ method: String) throws {}
  public func execute(_ method: String, _ inputs: [ValueConvertible]) throws -> [Value] { fatalError() }
  public func execute(_ method: String, _ inputs: ValueConvertible...) throws -> [Value] { fatalError() }
  public func execute<Output: ValueSequenceConstructible>(_ method: String, _ inputs: [ValueConvertible]) throws
    -> Output
  { fatalError() }
  public func execute<Output: ValueSequenceConstructible>(_ method: String, _ inputs: ValueConvertible...) throws
    -> Output
  { fatalError() }
  public func execute<Output: ValueSequenceConstructible>(_ method: String, _ input: ValueConvertible) throws -> Output
  {
    fatalError()
  }
}
