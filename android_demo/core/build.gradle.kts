import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
}

kotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_17
        freeCompilerArgs.add("-Xjdk-release=17") // a newer JDK has methods that phones have not
        allWarningsAsErrors = true
    }
}

dependencies {
    testImplementation(libs.junit)
}

tasks.test {
    systemProperty("levit.vectors", rootDir.resolve("../tests/golden/vectors").path)
}
