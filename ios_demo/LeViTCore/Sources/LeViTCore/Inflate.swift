/// RFC 1951: what `numpy.savez_compressed` packs golden inputs with.
///
/// Own code, for what Apple's systems have (`NSData.decompressed`) is not where the tests run; it is small, and tested beside
/// zlib.
struct Inflate {
  /// The data is not as the format has it.
  struct Damaged: Error {}

  private static let longest = 15
  private static let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
  private static let lengths: [(base: Int, extra: Int)] = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 1), (13, 1), (15, 1), (17, 1), (19, 2),
    (23, 2), (27, 2), (31, 2), (35, 3), (43, 3), (51, 3), (59, 3), (67, 4), (83, 4), (99, 4), (115, 4), (131, 5),
    (163, 5), (195, 5), (227, 5), (258, 0),
  ]
  private static let distances: [(base: Int, extra: Int)] = (0..<30).map { code in
    let extra = max(0, code / 2 - 1)
    return (code < 4 ? code + 1 : (2 + code % 2) << extra + 1, extra)
  }

  private let input: ArraySlice<UInt8>
  private var next: Int
  private var held = 0
  private var bits = 0
  private var output: [UInt8] = []
  private let size: Int

  private init(_ input: ArraySlice<UInt8>, size: Int) {
    self.input = input
    self.size = size
    next = input.startIndex
    output.reserveCapacity(size)
  }

  /// - Parameter size: bytes that must come out.
  /// - Throws: `Damaged`.
  static func bytes(_ input: ArraySlice<UInt8>, size: Int) throws -> [UInt8] {
    var inflate = Inflate(input, size: size)
    try inflate.run()
    guard inflate.output.count == size else { throw Damaged() }
    return inflate.output
  }

  private mutating func run() throws {
    var isLast = false
    while !isLast {
      isLast = try take(1) == 1
      switch try take(2) {
      case 0: try copyStored()
      case 1: try decode(Self.fixedLiterals, Self.fixedDistances)
      case 2:
        let (literals, distances) = try readCodes()
        try decode(literals, distances)
      default: throw Damaged()
      }
    }
  }

  private mutating func take(_ count: Int) throws -> Int {
    while bits < count {
      guard next < input.endIndex else { throw Damaged() }
      held |= Int(input[next]) << bits
      next += 1
      bits += 8
    }
    let value = held & (1 << count - 1)
    held >>= count
    bits -= count
    return value
  }

  private mutating func copyStored() throws {
    // The rest of a byte is left out; `take` never holds a whole one.
    (held, bits) = (0, 0)
    let count = try take(16)
    guard try take(16) == ~count & 0xFFFF, count <= input.endIndex - next, output.count + count <= size else {
      throw Damaged()
    }
    output += input[next..<next + count]
    next += count
  }

  private mutating func decode(_ literals: Code, _ distances: Code) throws {
    while true {
      let symbol = try symbol(literals)
      if symbol == 256 { return }
      if symbol < 256 {
        guard output.count < size else { throw Damaged() }
        output.append(UInt8(symbol))
        continue
      }
      guard symbol - 257 < Self.lengths.count else { throw Damaged() }
      let length = Self.lengths[symbol - 257]
      let count = try length.base + take(length.extra)
      let code = try self.symbol(distances)
      guard code < Self.distances.count else { throw Damaged() }
      let distance = try Self.distances[code].base + take(Self.distances[code].extra)
      guard distance <= output.count, output.count + count <= size else { throw Damaged() }
      // One at a time: what is copied may be what was just written.
      for _ in 0..<count { output.append(output[output.count - distance]) }
    }
  }

  private mutating func readCodes() throws -> (Code, Code) {
    let (literals, distances, counted) = try (take(5) + 257, take(5) + 1, take(4) + 4)
    var lengths = [Int](repeating: 0, count: 19)
    for place in Self.order.prefix(counted) { lengths[place] = try take(3) }
    let code = try Code(lengths)
    var all: [Int] = []
    while all.count < literals + distances {
      switch try symbol(code) {
      case let length where length < 16: all.append(length)
      case 16:
        guard let last = all.last else { throw Damaged() }
        all += repeatElement(last, count: try 3 + take(2))
      case 17: all += repeatElement(0, count: try 3 + take(3))
      default: all += repeatElement(0, count: try 11 + take(7))
      }
    }
    guard all.count == literals + distances else { throw Damaged() }
    return (try Code(all.prefix(literals)), try Code(all.suffix(distances)))
  }

  private mutating func symbol(_ code: Code) throws -> Int {
    var (value, first, index) = (0, 0, 0)
    for length in 1...Self.longest {
      value |= try take(1)
      let count = code.counts[length]
      if value - first < count { return code.symbols[index + value - first] }
      index += count
      first = (first + count) << 1
      value <<= 1
    }
    throw Damaged()
  }

  /// Symbols by the length of their codes, and of one length by their number: that is all that a code of Huffman's needs.
  private struct Code {
    var counts = [Int](repeating: 0, count: longest + 1)
    var symbols: [Int] = []

    init(_ lengths: some Collection<Int>) throws {
      for length in lengths where length > 0 { counts[length] += 1 }
      // More codes of a length than there is room for.
      var room = 1
      for length in 1...longest {
        room = room << 1 - counts[length]
        guard room >= 0 else { throw Damaged() }
      }
      symbols = lengths.enumerated().filter { $0.element > 0 }
        .sorted { ($0.element, $0.offset) < ($1.element, $1.offset) }.map(\.offset)
    }

    /// Of lengths that are known to fit.
    init(fixed lengths: [Int]) {
      for length in lengths { counts[length] += 1 }
      symbols = lengths.enumerated().sorted { ($0.element, $0.offset) < ($1.element, $1.offset) }.map(\.offset)
    }
  }

  private static let fixedLiterals = Code(
    fixed: (0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 })
  private static let fixedDistances = Code(fixed: [Int](repeating: 5, count: 30))
}
