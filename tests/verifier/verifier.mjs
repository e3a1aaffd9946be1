// A provider on the web, made of libraries that are not ours: @openid4vc/openid4vp makes the requests and takes
// the answers apart, jose signs and decrypts, @sd-jwt/sd-jwt-vc verifies SD-JWT and KB-JWT.
//
//   node verifier.mjs CONFIG.json     {"host", "tls": {"key", "cert"}, "signer": {"key", "x5c"}, "method", "claims"}
//
// Standard output, a JSON value a line: {"link"} once it serves on loopback, then {"verified"}, {"failed"} or
// {"refused"} for each answer that was posted. It ends with its standard input.
import { Openid4vpVerifier } from '@openid4vc/openid4vp'
import { SDJwtVcInstance } from '@sd-jwt/sd-jwt-vc'
import * as jose from 'jose'
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
const digest = (data, alg) => createHash(alg.replace('-', '')).update(typeof data === 'string' ? data : Buffer.from(data)).digest()
const MAX_AGE_SECONDS = 300

const signingKey = await jose.importPKCS8(config.signer.key, 'ES256')
const answer = await jose.generateKeyPair('ECDH-ES', { crv: 'P-256', extractable: true })
const answerJwk = { ...(await jose.exportJWK(answer.publicKey)), use: 'enc', alg: 'ECDH-ES', kid: 'answer-1' }

const callbacks = {
  hash: digest,
  generateRandom: (length) => crypto.getRandomValues(new Uint8Array(length)),
  signJwt: async (signer, { header, payload }) => ({
    jwt: await new jose.SignJWT(payload).setProtectedHeader(header).sign(signingKey),
    signerJwk: await jose.exportJWK(await jose.importX509(pem(config.signer.x5c[0]), signer.alg)),
  }),
  decryptJwe: async (jwe) => {
    const { plaintext } = await jose.compactDecrypt(jwe, answer.privateKey)
    return { decrypted: true, decryptionJwk: answerJwk, payload: new TextDecoder().decode(plaintext) }
  },
  verifyJwt: async () => ({ verified: false }), // answers are encrypted, not signed
}
const library = new Openid4vpVerifier({ callbacks })

const pem = (base64) => `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----`
const payloadOf = (signingInput) => JSON.parse(Buffer.from(signingInput.split('.')[1], 'base64url'))

async function holds(jwk, data, signature) {
  try {
    await jose.compactVerify(`${data}.${signature}`, await jose.importJWK(jwk, 'ES256'), { algorithms: ['ES256'] })
    return true
  } catch {
    return false
  }
}

// The issuer is the holder: its key is its name (did:jwk), and the key binding is to that same key.
const selfAsserted = new SDJwtVcInstance({
  hasher: digest,
  hashAlg: 'sha-256',
  verifier: (data, signature) => {
    const { iss } = payloadOf(data)
    if (!iss.startsWith('did:jwk:')) return false
    return holds(JSON.parse(Buffer.from(iss.slice(8), 'base64url')), data, signature)
  },
  kbVerifier: (data, signature, payload) => holds(payload.cnf.jwk, data, signature),
})

let base, payload

function parameters() {
  return {
    client_id: `x509_san_dns:${config.host}`,
    response_type: 'vp_token',
    response_mode: 'direct_post.jwt',
    response_uri: `${base}/answer`,
    nonce: randomUUID(),
    state: randomUUID(),
    dcql_query: {
      credentials: [
        {
          id: 'owner',
          format: 'dc+sd-jwt',
          meta: { vct_values: ['urn:ownerd:owner:1'] },
          claims: config.claims.map((name) => ({ path: name.split('.') })),
        },
      ],
    },
    client_metadata: {
      jwks: { keys: [answerJwk] },
      encrypted_response_enc_values_supported: ['A256GCM'],
      vp_formats_supported: { 'dc+sd-jwt': { 'sd-jwt_alg_values': ['ES256'], 'kb-jwt_alg_values': ['ES256'] } },
    },
  }
}

const requestObject = (more, wallet) =>
  library.createOpenId4vpAuthorizationRequest({
    authorizationRequestPayload: { ...payload, ...more },
    jar: {
      requestUri: `${base}/request`,
      jwtSigner: { method: 'x5c', x5c: config.signer.x5c, alg: 'ES256' },
      expiresInSeconds: 300,
    },
    wallet,
  })

async function verify(form) {
  const parsed = await library.parseOpenid4vpAuthorizationResponse({
    authorizationResponse: form,
    authorizationRequestPayload: payload,
    callbacks,
  })
  const { vp_token: token, state } = parsed.authorizationResponsePayload
  if (state !== payload.state) throw new Error('another state')
  const [presentation] = library.parseDcqlVpToken(token).owner
  const verified = await selfAsserted.verify(presentation, { keyBindingNonce: parsed.expectedNonce })
  const age = Math.floor(Date.now() / 1000) - verified.kb.payload.iat
  if (verified.kb.payload.aud !== payload.client_id) throw new Error('another audience')
  if (Math.abs(age) > MAX_AGE_SECONDS) throw new Error('not fresh')
  return { claims: verified.payload, encrypted: parsed.jarm.type }
}

async function read(request) {
  const parts = []
  for await (const part of request) parts.push(part)
  return Object.fromEntries(new URLSearchParams(Buffer.concat(parts).toString()))
}

async function serve(request, response) {
  const form = request.method === 'POST' ? await read(request) : {}
  if (request.url === '/request') {
    if (request.method.toLowerCase() !== config.method) return void response.writeHead(405).end()
    const metadata = form.wallet_metadata && JSON.parse(form.wallet_metadata)
    const wallet = form.wallet_nonce && { expectedNonce: form.wallet_nonce, metadata }
    const made = await requestObject(form.wallet_nonce ? { wallet_nonce: form.wallet_nonce } : {}, wallet)
    response.setHeader('Content-Type', 'application/oauth-authz-req+jwt')
    return void response.end(made.jar.authorizationRequestJwt)
  }
  if (request.url !== '/answer' || request.method !== 'POST') return void response.writeHead(404).end()
  response.setHeader('Content-Type', 'application/json')
  if (form.error) {
    say({ refused: form })
    return void response.end('{}')
  }
  try {
    const verified = await verify(form)
    response.end(JSON.stringify({ redirect_uri: `${base}/thanks#response_code=${randomUUID()}` }))
    say({ verified })
  } catch (error) {
    response.writeHead(400).end(JSON.stringify({ error: 'invalid_request', error_description: String(error.message) }))
    say({ failed: String(error.stack) })
  }
}

const server = createServer(config.tls, (request, response) =>
  serve(request, response).catch((error) => {
    say({ failed: String(error.stack) })
    response.writeHead(500).end()
  }),
)
server.listen(0, '127.0.0.1', async () => {
  base = `https://${config.host}:${server.address().port}`
  payload = parameters()
  const made = await requestObject({}, undefined)
  const method = config.method === 'post' ? '&request_uri_method=post' : ''
  say({ link: made.authorizationRequest + method })
})
process.stdin.resume().on('end', () => process.exit(0))
