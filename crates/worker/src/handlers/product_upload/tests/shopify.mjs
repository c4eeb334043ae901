// A shop that answers as Shopify does: requests are validated against the published schema of the
// GraphQL Admin API, and what the shop does not model is a mock made from that schema.
//
// `node shopify.mjs TOOLS` prints its port and ends when its standard input does. TOOLS is the
// folder into which scripts/setup.sh installs the schema and the packages, target/tools/shopify. Each first part of a
// path is a shop of its own:
//   POST /SHOP/admin/oauth/access_token, POST /SHOP/admin/api/2026-10/graphql.json
//   POST /SHOP/answer  {"operation": "Find", "status": 200, "body": {…}}: the next such answer;
//                      {"operation": "Set", "drop": true}: carried out, and not answered
//   GET  /SHOP/state   {"requests": [{operation, variables, errors}], "products": […]}
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';

const tools = resolve(process.argv[2]);
const require = createRequire(join(tools, 'package.json'));
const { buildClientSchema, graphql, parse } = require('graphql');
const { addMocksToSchema } = require('@graphql-tools/mock');

const packed = readFileSync(join(tools, 'admin_2026-10.json.gz'));
const published = JSON.parse(gunzipSync(packed));
const mocks = {
  DateTime: () => '2026-11-29T10:00:00Z',
  HTML: () => '',
  Money: () => '1.00',
};

const shops = new Map();

function shopOf(name) {
  if (!shops.has(name)) {
    shops.set(name, { name, requests: [], products: [], answers: [], nextId: 1 });
  }
  return shops.get(name);
}

const userError = (code, message, field = ['input']) => ({
  product: null,
  userErrors: [{ code, field, message }],
});

function variantOf(shop, product, input, stored) {
  const id = input.id ?? `gid://shopify/ProductVariant/${shop.nextId++}`;
  const selectedOptions = input.optionValues.map(({ optionName, name }) => ({
    name: optionName,
    value: name,
  }));
  const item = { ...stored?.inventoryItem };
  item.tracked = input.inventoryItem?.tracked ?? item.tracked ?? false;
  item.measurement = input.inventoryItem?.measurement ?? item.measurement ?? { weight: null };
  const quantity = input.inventoryQuantities?.[0]?.quantity;
  const quantities = quantity === undefined ? undefined : [{ quantity }];
  item.inventoryLevel = quantities ? { quantities } : (item.inventoryLevel ?? null);
  return {
    id,
    sku: input.sku ?? stored?.sku ?? null,
    title: selectedOptions.map((option) => option.value).join(' / '),
    price: input.price ?? stored?.price ?? '0.00',
    compareAtPrice: input.compareAtPrice ?? stored?.compareAtPrice ?? null,
    barcode: input.barcode ?? stored?.barcode ?? null,
    selectedOptions,
    inventoryItem: item,
    product,
  };
}

function productSet(_, { identifier, input }, { shop }) {
  const found = shop.products.find(
    ({ id, handle }) => id === identifier.id || handle === identifier.handle,
  );
  if (identifier.id && !found) return userError('PRODUCT_DOES_NOT_EXIST', 'Product does not exist');
  if (identifier.handle && input.handle !== identifier.handle) {
    return userError('INPUT_MISMATCH', 'The handle does not match', ['input', 'handle']);
  }
  if (input.variants && !input.productOptions) {
    return userError('PRODUCT_OPTIONS_INPUT_MISSING', 'Must specify product options');
  }
  const known = new Map(found?.variants.nodes.map((variant) => [variant.id, variant]));
  const names = input.productOptions.map(({ name }) => name).join('|');
  for (const variant of input.variants) {
    if (variant.id && !known.has(variant.id)) {
      return userError('PRODUCT_VARIANT_DOES_NOT_EXIST', 'Variant does not exist');
    }
    const values = new Map(input.productOptions.map(({ name, values }) => [name, values]));
    const exists = ({ optionName, name }) =>
      values.get(optionName)?.some((value) => value.name === name);
    if (!variant.optionValues.every(exists)) {
      return userError('OPTION_VALUE_DOES_NOT_EXIST', 'Option value does not exist');
    }
    if (variant.optionValues.map(({ optionName }) => optionName).join('|') !== names) {
      return userError('INVALID_VARIANT', 'A variant needs a value for each option');
    }
  }
  const titles = input.variants.map(({ optionValues }) => optionValues.map(({ name }) => name));
  if (new Set(titles.map((title) => title.join(' / '))).size < titles.length) {
    return userError('DUPLICATED_VALUE', 'The variant already exists');
  }
  const product = found ?? {
    id: `gid://shopify/Product/${shop.nextId++}`,
    handle: input.handle,
    descriptionHtml: '',
    vendor: shop.name,
    productType: '',
    tags: [],
    createdAt: new Date().toISOString(),
    mediaCount: { count: 0 },
    resourcePublicationsV2: { nodes: [] },
  };
  for (const field of ['title', 'descriptionHtml', 'vendor', 'productType', 'status', 'handle']) {
    product[field] = input[field] ?? product[field];
  }
  product.tags = [...(input.tags ?? product.tags)].sort();
  product.mediaCount = { count: input.files?.length ?? product.mediaCount.count };
  product.options = input.productOptions.map(({ name }) => ({ name }));
  product.updatedAt = new Date().toISOString();
  const nodes = input.variants.map((v) => variantOf(shop, product, v, known.get(v.id)));
  product.variants = { nodes, pageInfo: { hasNextPage: false } };
  product.hasOnlyDefaultVariant = nodes.length === 1 && nodes[0].title === 'Default Title';
  if (!found) shop.products.push(product);
  return { product, userErrors: [] };
}

function publishablePublish(_, { id, input }, { shop }) {
  const product = shop.products.find((one) => one.id === id);
  for (const { publicationId } of input) {
    product.resourcePublicationsV2.nodes.push({ publication: { id: publicationId } });
  }
  return { userErrors: [] };
}

const schema = addMocksToSchema({
  schema: buildClientSchema(published.data ?? published, { assumeValid: true }),
  mocks,
  resolvers: {
    QueryRoot: {
      productByIdentifier: (_, { identifier: { id, handle } }, { shop }) =>
        shop.products.find((one) => one.id === id || one.handle === handle) ?? null,
      // The search ignores case, as Shopify's does.
      productVariants: (_, { query }, { shop }) => {
        const sku = query.match(/^sku:"((?:[^"\\]|\\.)*)"$/)[1].replace(/\\(.)/g, '$1').toLowerCase();
        const all = shop.products.flatMap((product) => product.variants.nodes);
        return { nodes: all.filter((variant) => variant.sku?.toLowerCase() === sku) };
      },
    },
    Mutation: { productSet, publishablePublish },
  },
});

function read(request) {
  return new Promise((done) => {
    let text = '';
    request.on('data', (part) => {
      text += part;
    });
    request.on('end', () => done(text));
  });
}

function send(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

const cost = {
  requestedQueryCost: 12,
  actualQueryCost: 10,
  throttleStatus: { maximumAvailable: 2000, currentlyAvailable: 1990, restoreRate: 100 },
};

async function answerGraphql(shop, request, response) {
  const { query, variables } = JSON.parse(await read(request));
  if (request.headers['x-shopify-access-token'] !== `token-of-${shop.name}`) {
    const errors = '[API] Invalid API key or access token (unrecognized login or wrong password)';
    return send(response, 401, { errors });
  }
  const operation = parse(query).definitions[0].name.value;
  const planned = shop.answers.findIndex((answer) => answer.operation === operation);
  const [answer] = planned < 0 ? [] : shop.answers.splice(planned, 1);
  if (answer?.status) return send(response, answer.status, answer.body, answer.headers);
  const contextValue = { shop };
  const result = await graphql({ schema, source: query, variableValues: variables, contextValue });
  const errors = (result.errors ?? []).map((error) => error.message);
  shop.requests.push({ operation, variables, errors });
  if (answer?.drop) return request.socket.destroy();
  send(response, 200, { ...result, extensions: { cost } });
}

const server = createServer(async (request, response) => {
  const [, name, ...path] = request.url.split('/');
  const shop = shopOf(name);
  switch (path.join('/')) {
    case 'answer':
      shop.answers.push(JSON.parse(await read(request)));
      return send(response, 200, {});
    case 'state': {
      const products = shop.products.map(({ variants, ...product }) => ({
        ...product,
        variants: variants.nodes.map(({ product: _, ...variant }) => variant),
      }));
      return send(response, 200, { requests: shop.requests, products });
    }
    case 'admin/oauth/access_token': {
      const form = new URLSearchParams(await read(request));
      if (form.get('grant_type') !== 'client_credentials' || form.get('client_id') !== 'id') {
        return send(response, 400, { error: 'invalid_client' });
      }
      const access_token = `token-of-${name}`;
      return send(response, 200, { access_token, scope: 'write_products', expires_in: 86399 });
    }
    case 'admin/api/2026-10/graphql.json':
      return answerGraphql(shop, request, response);
    default:
      return send(response, 404, { errors: 'Not Found' });
  }
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit()).resume();
