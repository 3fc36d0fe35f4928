/* Hands the samples of the microphone to the page. */
"use strict";
registerProcessor("samples", class extends AudioWorkletProcessor {
  process([[samples]]) {
    if (samples) this.port.postMessage(samples.slice());
    return true;
  }
});
