# cmake -DBUILD=build/ci -DWORK=DIR -DGENERATOR=Ninja -P installed_test.cmake: installs Tenon in a clean prefix and, from there, uses the
# example as a folder of sources, as a CMake project, and as the ready .so of that project: inspected, verified, served;
# then makes a folder of its own from a built-in one.
cmake_minimum_required(VERSION 3.25)
set(example ${CMAKE_CURRENT_LIST_DIR})
set(tiny ${example}/glm4/tiny)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK}/project)
set(ENV{XDG_CACHE_HOME} ${WORK}/cache)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${status}\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

# What the last run printed.
function(expect)
  foreach(words IN LISTS ARGN)
    if(NOT out MATCHES "${words}")
      message(FATAL_ERROR "${words} is not in:\n${out}")
    endif()
  endforeach()
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
set(tenon ${WORK}/prefix/bin/tenon)
file(COPY ${example}/glm4/ DESTINATION ${WORK}/project)
file(WRITE ${WORK}/project/CMakeLists.txt
     "cmake_minimum_required(VERSION 3.25)\nproject(glm4 LANGUAGES CXX)\nfind_package(tenon REQUIRED)\ntenon_architecture(glm4)\n")
run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${WORK}/project -B ${WORK}/project-build -DCMAKE_PREFIX_PATH=${WORK}/prefix)
run(${CMAKE_COMMAND} --build ${WORK}/project-build)
foreach(plugin ${example}/glm4 ${WORK}/project ${WORK}/project-build/glm4.so)
  run(${tenon} inspect ${tiny} --custom-architectures ${plugin})
  expect("architecture Glm4ForCausalLM" " 0 problems")
  run(${tenon} verify ${tiny} --reference ${tiny}/reference.safetensors --quantization-encoding float32
      --custom-architectures ${plugin})
  expect("Glm4ForCausalLM" "AGREES")
endforeach()

# The example's checkpoint has no tokenizer: one of random weights has as many tokens as the tokenizer at hand.
file(READ ${tiny}/config.json config)
string(REPLACE "\"vocab_size\": 96" "\"vocab_size\": 512" config "${config}")
file(WRITE ${WORK}/config.json "${config}")
run(${tenon} check ${example}/glm4 --config ${WORK}/config.json --keep ${WORK}/served)
set(tokenizer ${example}/../../tests/data/stories260K)
file(COPY ${tokenizer}/tokenizer.json ${tokenizer}/tokenizer_config.json DESTINATION ${WORK}/served)
run(bash ${example}/installed_serve.sh ${tenon} ${WORK}/served ${WORK}/project-build/glm4.so)
expect("\"object\":\"text_completion\"" "\"completion_tokens\":8")

run(${tenon} new Glm4ForCausalLM --from olmo2 --config ${tiny}/config.json --output ${WORK}/novel)
run(${tenon} check ${WORK}/novel)
expect("Glm4ForCausalLM .family novel." "ok    OneAnswer")
file(REMOVE_RECURSE ${WORK})
