plugins {
    alias(libs.plugins.kotlin.jvm)
}

kotlin {
    jvmToolchain(17)
    compilerOptions { allWarningsAsErrors = true }
}

dependencies {
    testImplementation(libs.junit)
}

tasks.test {
    systemProperty("levit.vectors", rootDir.resolve("../tests/golden/vectors").path)
}
