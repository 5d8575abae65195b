// The npm package age-encryption as a filter, an oracle for our own implementation.
//   node age.mjs generate x25519|hybrid        prints an identity and its recipient, one a line
//   node age.mjs encrypt RECIPIENT...          standard input to standard output
//   node age.mjs decrypt IDENTITY              standard input to standard output
//   node age.mjs vectors                       prints the age test vectors (CCTV) as JSON: name > base64
import { buffer } from "node:stream/consumers";
import { Decrypter, Encrypter, generateHybridIdentity, generateX25519Identity, identityToRecipient } from "age-encryption";
import * as vectors from "cctv-age";

const [command, ...rest] = process.argv.slice(2);

const commands = {
  async generate() {
    const identity = await (rest[0] === "hybrid" ? generateHybridIdentity() : generateX25519Identity());
    return `${identity}\n${await identityToRecipient(identity)}\n`;
  },
  async encrypt() {
    const encrypter = new Encrypter();
    rest.forEach((recipient) => encrypter.addRecipient(recipient));
    return encrypter.encrypt(new Uint8Array(await buffer(process.stdin)));
  },
  async decrypt() {
    const decrypter = new Decrypter();
    decrypter.addIdentity(rest[0]);
    return decrypter.decrypt(new Uint8Array(await buffer(process.stdin)));
  },
  async vectors() {
    const texts = Object.entries(vectors).map(([name, data]) => [name, Buffer.from(data).toString("base64")]);
    return JSON.stringify(Object.fromEntries(texts));
  },
};

try {
  process.stdout.write(await commands[command]());
} catch (fault) {
  process.stderr.write(`${fault.message}\n`);
  process.exitCode = 1;
}
