import Foundation

/// FIPS 180-4, section 6.2: for platforms without CryptoKit, such as the Linux that the tests run on.
struct PlainSHA256 {
  private var state: [UInt32] = fractions(ofRootsOf: primes.prefix(8)) { $0.squareRoot() }
  private var rest: [UInt8] = []
  private var length: UInt64 = 0

  /// More bytes of the message.
  mutating func update(data: Data) {
    length += UInt64(data.count)
    rest += data
    var start = 0
    while rest.count - start >= 64 {
      compress(rest[start..<start + 64])
      start += 64
    }
    rest.removeFirst(start)
  }

  /// The 32 bytes of the digest.
  mutating func finalize() -> [UInt8] {
    let bits = length * 8
    let padding = (119 - Int(length % 64)) % 64 + 1
    update(data: Data([0x80] + [UInt8](repeating: 0, count: padding - 1) + bits.bigEndianBytes))
    return state.flatMap(\.bigEndianBytes)
  }

  private mutating func compress(_ block: ArraySlice<UInt8>) {
    var schedule = [UInt32](repeating: 0, count: 64)
    for word in 0..<16 {
      for byte in 0..<4 {
        schedule[word] = schedule[word] << 8 | UInt32(block[block.startIndex + word * 4 + byte])
      }
    }
    for word in 16..<64 {
      let (a, b) = (schedule[word - 15], schedule[word - 2])
      let first = a.turned(7) ^ a.turned(18) ^ a >> 3
      let second = b.turned(17) ^ b.turned(19) ^ b >> 10
      schedule[word] = schedule[word - 16] &+ first &+ schedule[word - 7] &+ second
    }
    var (a, b, c, d) = (state[0], state[1], state[2], state[3])
    var (e, f, g, h) = (state[4], state[5], state[6], state[7])
    for round in 0..<64 {
      let choice = e & f ^ ~e & g
      let first = h &+ (e.turned(6) ^ e.turned(11) ^ e.turned(25)) &+ choice &+ Self.constants[round] &+ schedule[round]
      let majority = a & b ^ a & c ^ b & c
      let second = (a.turned(2) ^ a.turned(13) ^ a.turned(22)) &+ majority
      (a, b, c, d, e, f, g, h) = (first &+ second, a, b, c, d &+ first, e, f, g)
    }
    for (place, value) in [a, b, c, d, e, f, g, h].enumerated() {
      state[place] &+= value
    }
  }

  private static let primes = (2...311).filter { number in
    number < 4 || !(2...Int(Double(number).squareRoot())).contains { number.isMultiple(of: $0) }
  }

  private static let constants = fractions(ofRootsOf: primes.prefix(64), by: cbrt)

  /// The first 32 bits behind the point.
  private static func fractions(ofRootsOf numbers: some Sequence<Int>, by root: (Double) -> Double) -> [UInt32] {
    numbers.map { number in
      let found = root(Double(number))
      return UInt32((found - found.rounded(.down)) * 0x1p32)
    }
  }
}

extension UInt32 {
  fileprivate func turned(_ bits: UInt32) -> UInt32 { self >> bits | self << (32 - bits) }
}

extension FixedWidthInteger {
  fileprivate var bigEndianBytes: [UInt8] { withUnsafeBytes(of: bigEndian) { Array($0) } }
}
