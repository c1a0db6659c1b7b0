// An identity provider for the tests: the certified one, with people from a file that is read anew each time.
// The only argument is a file with everything that differs from test to test.
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const { issuer, port, people, client, idTokenClaims } = JSON.parse(readFileSync(process.argv[2], 'utf8'));

const provider = new Provider(issuer, {
  clients: [{ ...client, grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'] }],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], groups: ['groups'] },
  scopes: ['openid', 'profile', 'groups', 'offline_access'],
  conformIdTokenClaims: !idTokenClaims,
  cookies: { keys: ['of the tests'] },
  // The clock of the token server is ahead of this one at times.
  ttl: { IdToken: 30 * 24 * 3600 },
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  // Somebody who is not in the file any more is nobody, with tokens of before as well.
  async findAccount(_context, id) {
    const said = JSON.parse(readFileSync(people, 'utf8'))[id];
    return said && { accountId: id, claims: async () => ({ sub: id, ...said }) };
  },
  // Usually it calls nobody on its own machine, which is where the token server is.
  fetch: (url, { method, headers, body, signal }) => fetch(url, { method, headers, body, signal }),
  issueRefreshToken: async (_context, client_, code) =>
    client_.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
});

for (const event of ['server_error', 'backchannel.error']) {
  provider.on(event, (_context, error) => console.error(event, error));
}

provider.listen(port, '127.0.0.1', () => console.log('ready'));
