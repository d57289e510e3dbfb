// A .pte by ExecuTorch's C++ interface, for the JVM; headers and libraries come from the Python package executorch.

#include <jni.h>

#include <cstring>
#include <string>
#include <vector>

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

namespace {

using executorch::extension::Module;

struct Session {
  Module module;
  std::string method;
  std::vector<executorch::aten::SizesType> shape;

  explicit Session(const std::string& path) : module(path) {}
};

void fail(JNIEnv* env, const char* what, executorch::runtime::Error error) {
  const auto text = std::string(what) + ": ExecuTorch's error " + std::to_string(static_cast<int>(error));
  env->ThrowNew(env->FindClass("java/lang/RuntimeException"), text.c_str());
}

std::string text(JNIEnv* env, jstring string) {
  const char* letters = env->GetStringUTFChars(string, nullptr);
  std::string copy = letters;
  env->ReleaseStringUTFChars(string, letters);
  return copy;
}

}  // namespace

extern "C" JNIEXPORT jlong JNICALL
Java_org_levitmobile_host_ExecuTorchHost_open(JNIEnv* env, jobject, jstring path, jobjectArray methods, jintArray shape) {
  auto* session = new Session(text(env, path));
  std::vector<jint> sides(env->GetArrayLength(shape));
  env->GetIntArrayRegion(shape, 0, sides.size(), sides.data());
  session->shape.assign(sides.begin(), sides.end());
  auto error = executorch::runtime::Error::InvalidArgument;
  for (jsize at = 0; at < env->GetArrayLength(methods); ++at) {
    session->method = text(env, static_cast<jstring>(env->GetObjectArrayElement(methods, at)));
    error = session->module.load_method(session->method);
    if (error == executorch::runtime::Error::Ok) return reinterpret_cast<jlong>(session);
  }
  delete session;
  fail(env, "load", error);
  return 0;
}

extern "C" JNIEXPORT void JNICALL
Java_org_levitmobile_host_ExecuTorchHost_run(JNIEnv* env, jobject, jlong handle, jobject in, jobject out) {
  auto* session = reinterpret_cast<Session*>(handle);
  auto* numbers = static_cast<float*>(env->GetDirectBufferAddress(in));
  const auto input = executorch::extension::from_blob(numbers, session->shape);
  const auto answer = session->module.execute(session->method, input);
  if (!answer.ok()) return fail(env, "run", answer.error());
  const auto logits = answer->at(0).toTensor();
  std::memcpy(env->GetDirectBufferAddress(out), logits.const_data_ptr(), env->GetDirectBufferCapacity(out));
}

extern "C" JNIEXPORT void JNICALL Java_org_levitmobile_host_ExecuTorchHost_close(JNIEnv*, jobject, jlong handle) {
  delete reinterpret_cast<Session*>(handle);
}
