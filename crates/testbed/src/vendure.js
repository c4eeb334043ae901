// Starts Vendure with an SQLite database in the current folder, on the port PORT of this machine.
const { bootstrap, DefaultLogger, LogLevel } = require('@vendure/core');

bootstrap({
  apiOptions: { hostname: '127.0.0.1', port: Number(process.env.PORT), adminApiPath: 'admin-api', cors: false },
  authOptions: {
    tokenMethod: ['bearer', 'api-key'],
    superadminCredentials: { identifier: process.env.SUPERADMIN, password: process.env.SUPERADMIN_PASSWORD },
  },
  dbConnectionOptions: { type: 'better-sqlite3', synchronize: true, logging: false, database: 'vendure.sqlite' },
  paymentOptions: { paymentMethodHandlers: [] },
  logger: new DefaultLogger({ level: LogLevel.Error }),
}).catch((error) => {
  console.error(error);
  process.exit(1);
});
