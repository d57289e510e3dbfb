#!/bin/sh
# Type-check the app against LinuxStubs, inside of the Swift root: typecheck.sh FOLDER_FOR_MODULES
set -eu
cd "$(dirname "$0")/.."
out=$1
flags="-swift-version 5 -strict-concurrency=complete -warnings-as-errors -module-cache-path $out/cache -I $out"
rm -rf "$out"
mkdir -p "$out"
swiftc -emit-module -module-name LeViTCore -swift-version 6 -o "$out/LeViTCore.swiftmodule" LeViTCore/Sources/LeViTCore/*.swift
# A stub comes after those that it imports.
for module in AppleFoundation Darwin CoreGraphics ImageIO CoreVideo CoreML Vision AVFoundation UIKit SwiftUI PhotosUI ExecuTorch; do
  swiftc -emit-module -module-name $module -swift-version 5 -parse-as-library -suppress-warnings -module-cache-path "$out/cache" \
    -I "$out" -o "$out/$module.swiftmodule" LinuxStubs/$module.swift
done
# shellcheck disable=SC2046,SC2086
swiftc -typecheck -parse-as-library -module-name LeViTDemo $flags -Xfrontend -import-module -Xfrontend AppleFoundation \
  $(find LeViTDemo -name '*.swift' | sort)
