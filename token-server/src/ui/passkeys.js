// Talks to passkeys: makes one, or lets one sign, when a form asks for it, and sends the form with the answer.
"use strict";
(() => {
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const keys = (list) =>
    list.split(" ").filter(Boolean).map((id) => ({ type: "public-key", id: bytes(id) }));

  const make = (asked) => navigator.credentials.create({
    publicKey: {
      challenge: bytes(asked.challenge),
      rp: { id: asked.party, name: asked.party },
      user: { id: bytes(asked.user), name: asked.name, displayName: asked.name },
      pubKeyCredParams: asked.algorithms.split(" ").map((alg) => ({ type: "public-key", alg: Number(alg) })),
      excludeCredentials: keys(asked.keys),
      authenticatorSelection: { residentKey: "preferred", userVerification: "preferred" },
      attestation: "none",
    },
  });
  const sign = (asked) => navigator.credentials.get({
    publicKey: {
      challenge: bytes(asked.challenge),
      rpId: asked.party,
      allowCredentials: keys(asked.keys),
      userVerification: asked.verification,
    },
  });
  const written = ({ rawId, response }) => {
    const said = { id: text(rawId), clientDataJSON: text(response.clientDataJSON) };
    for (const part of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (response[part]) {
        said[part] = text(response[part]);
      }
    }
    return JSON.stringify(said);
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const remark = form.querySelector("[role=status]");
      try {
        remark.textContent = "";
        const answer = await (form.dataset.passkey === "make" ? make : sign)(form.dataset);
        form.elements.passkey.value = written(answer);
        form.submit();
      } catch (error) {
        remark.textContent = `Nothing came of it: ${error.message || error.name}`;
      }
    });
  }
})();
