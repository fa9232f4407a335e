# Read by CMake when llama.cpp's own project() begins (CMAKE_PROJECT_llama.cpp_INCLUDE).
# llama-cpp-python switches llama.cpp's "common" library on, with its argument parser, web client and
# chat formats: 57 of 140 build steps for parts that r1chat never loads. Nothing else is touched, so
# Metal, CUDA, Vulkan and every other GGML_ option keep their defaults and whatever CMAKE_ARGS says.
set(LLAMA_BUILD_COMMON OFF CACHE BOOL "" FORCE)
