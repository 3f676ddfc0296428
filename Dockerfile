# The image brings its own Node 22, so npm's install scripts (which would fetch another one) stay off.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY workers workers
COPY test/setup test/setup
ARG COMMIT=""
RUN node test/setup/build.mjs \
 && if [ -n "$COMMIT" ]; then printf '%s\n' "$COMMIT" > dist/COMMIT; fi \
 && npm prune --omit=dev --ignore-scripts

FROM node:22-bookworm-slim
# tini is process 1: it passes SIGTERM to the primary and reaps what stdio servers leave behind.
RUN apt-get update \
 && apt-get install --no-install-recommends -y tini \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o node -g node /var/lib/mcp-guard
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
COPY config config
ENV NODE_ENV=production \
    MCP_GUARD_SERVER_HOST=0.0.0.0
USER node
VOLUME /var/lib/mcp-guard
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.MCP_GUARD_SERVER_PORT || 3000}/live`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--", "node", "/app/dist/src/main.js"]
CMD ["run", "--config", "/etc/mcp-guard/mcp-guard.toml"]
